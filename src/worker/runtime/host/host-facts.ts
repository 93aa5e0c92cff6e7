/** What this machine offers to containers, found once at start. Plain data: nothing in it is looked up later. */
export interface HostFacts {
  readonly kernel: { readonly release: string; readonly major: number; readonly minor: number };
  /** As Node names it: `x64`, `arm64` … */
  readonly architecture: string;
  readonly cgroup: CgroupFacts;
  /** Capabilities that this process may pass on (its bounding and permitted set), as `CAP_…`. */
  readonly capabilities: readonly string[];
  /** Limits of this process by OCI name (`RLIMIT_NOFILE`). Infinity: unlimited. */
  readonly rlimits: ReadonlyMap<string, { readonly soft: number; readonly hard: number }>;
  readonly oomScoreAdj: number;
  readonly appArmor: boolean;
  readonly overlay: boolean;
  /** Text of the default seccomp profile; undefined when its package is missing. */
  readonly seccompProfile: string | undefined;
  readonly tools: Readonly<Record<ToolName, Tool>>;
}

export interface CgroupFacts {
  /** `hybrid`: v1 controllers with a v2 hierarchy beside them, which for containers is v1. */
  readonly version: 'v1' | 'hybrid' | 'v2';
  /** `memory`, `cpu`, `pids`, `blkio` (`io` on v2) … as far as they are mounted and enabled. */
  readonly controllers: ReadonlySet<string>;
  /** Whether memory and swap are limited together (`memory.memsw`, `memory.swap.max`). */
  readonly swapAccounting: boolean;
  readonly blkioWeight: boolean;
  /** Below which those are whose own parent nobody chose; `/slipway` unless it is said. */
  readonly parent?: string;
}

export type ToolName = 'runc' | 'conmon' | 'socat' | 'iptables' | 'init' | 'git';

export interface Tool {
  /** Undefined when it is not installed. */
  readonly path: string | undefined;
  readonly version: string | undefined;
  /** The Debian package that brings it. */
  readonly package: string;
  /** What does not work without it. */
  readonly purpose: string;
  readonly required: boolean;
}

import { invalid, messageOf } from '#errors/errors.ts';
import type { HostFacts } from '../host/host-facts.ts';

/** The profile format that Docker, Podman and containers-common share: OCI seccomp plus conditions. */
interface Profile {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures?: string[];
  archMap?: { architecture: string; subArchitectures?: string[] | null }[];
  flags?: string[];
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls?: Rule[];
}

interface Rule {
  names?: string[];
  name?: string;
  action: string;
  errnoRet?: number;
  args?: object[] | null;
  includes?: Conditions;
  excludes?: Conditions;
}

interface Conditions {
  caps?: string[];
  arches?: string[];
  minKernel?: string;
}

const ARCHITECTURES: Record<string, { go: string; seccomp: string }> = {
  x64: { go: 'amd64', seccomp: 'SCMP_ARCH_X86_64' },
  arm64: { go: 'arm64', seccomp: 'SCMP_ARCH_AARCH64' },
  s390x: { go: 's390x', seccomp: 'SCMP_ARCH_S390X' },
  ppc64: { go: 'ppc64le', seccomp: 'SCMP_ARCH_PPC64LE' },
  riscv64: { go: 'riscv64', seccomp: 'SCMP_ARCH_RISCV64' },
};

/**
 * Left out: no distribution's kernel runs x32 programs unless booted for it, and compiling the filter once more for
 * them costs every start and every exec 10 ms. Their system calls are refused instead of filtered.
 */
const X32 = 'SCMP_ARCH_X32';

/** Resolves conditional profiles to what the OCI runtime takes; the default one once per set of capabilities. */
export class SeccompProfiles {
  readonly #host: HostFacts;
  readonly #resolved = new Map<string, object>();
  #default: Profile | undefined;

  constructor(host: HostFacts) {
    this.#host = host;
  }

  /** Undefined when the host has no default profile. */
  default(capabilities: readonly string[]): object | undefined {
    if (this.#host.seccompProfile === undefined) return undefined;
    const key = capabilities.toSorted().join();
    let resolved = this.#resolved.get(key);
    if (!resolved) {
      this.#default ??= JSON.parse(this.#host.seccompProfile) as Profile;
      resolved = resolve(this.#default, capabilities, this.#host);
      this.#resolved.set(key, resolved);
    }
    return resolved;
  }

  /** A profile that came as JSON text with the request. Throws `invalid`. */
  custom(json: string, capabilities: readonly string[]): object {
    let profile: Profile;
    try {
      profile = JSON.parse(json) as Profile;
    } catch (error) {
      throw invalid(`Decoding seccomp profile failed: ${messageOf(error)}`, { cause: error });
    }
    if (typeof profile?.defaultAction !== 'string') throw invalid('seccomp profile has no defaultAction');
    return resolve(profile, capabilities, this.#host);
  }
}

function resolve(profile: Profile, capabilities: readonly string[], host: HostFacts): object {
  const syscalls = (profile.syscalls ?? []).filter((rule) => applies(rule, capabilities, host)).map(toOci);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet !== undefined && { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: architecturesOf(profile, host),
    ...(profile.flags?.length && { flags: profile.flags }),
    ...(profile.listenerPath && { listenerPath: profile.listenerPath }),
    ...(profile.listenerMetadata && { listenerMetadata: profile.listenerMetadata }),
    syscalls: mergeAlike(syscalls),
  };
}

interface OciRule {
  names: string[];
  action: string;
  errnoRet?: number;
  args?: object[];
}

function toOci(rule: Rule): OciRule {
  return {
    names: rule.names ?? (rule.name ? [rule.name] : []),
    action: rule.action,
    ...(rule.errnoRet !== undefined && { errnoRet: rule.errnoRet }),
    ...(rule.args?.length && { args: rule.args }),
  };
}

/** Rules without argument checks and with one outcome become one: less for the runtime to parse. */
function mergeAlike(rules: OciRule[]): OciRule[] {
  const merged = new Map<string, OciRule>();
  for (const [index, rule] of rules.entries()) {
    const key = rule.args ? `#${index}` : `${rule.action} ${rule.errnoRet}`;
    const same = merged.get(key);
    if (same) same.names.push(...rule.names);
    else merged.set(key, { ...rule, names: [...rule.names] });
  }
  return [...merged.values()];
}

function architecturesOf(profile: Profile, host: HostFacts): string[] {
  if (profile.architectures?.length) return profile.architectures;
  const native = ARCHITECTURES[host.architecture]?.seccomp;
  if (!native) return [];
  const entry = profile.archMap?.find((candidate) => candidate.architecture === native);
  return [native, ...(entry?.subArchitectures ?? []).filter((name) => name !== X32)];
}

function applies(rule: Rule, capabilities: readonly string[], host: HostFacts): boolean {
  const go = ARCHITECTURES[host.architecture]?.go ?? host.architecture;
  const { includes = {}, excludes = {} } = rule;
  if (includes.arches?.length && !includes.arches.includes(go)) return false;
  if (includes.caps?.some((capability) => !capabilities.includes(capability))) return false;
  if (includes.minKernel && !kernelAtLeast(host, includes.minKernel)) return false;
  if (excludes.arches?.includes(go)) return false;
  if (excludes.caps?.some((capability) => capabilities.includes(capability))) return false;
  if (excludes.minKernel && kernelAtLeast(host, excludes.minKernel)) return false;
  return true;
}

function kernelAtLeast({ kernel }: HostFacts, version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

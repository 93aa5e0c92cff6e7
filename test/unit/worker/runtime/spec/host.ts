import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { CAPABILITIES } from '#worker/runtime/spec/capabilities.ts';

const tool = { path: undefined, version: undefined, package: 'package', purpose: '', required: true };

/** A host that has everything, changed where a test says so. */
export function hostWith(changes: Partial<HostFacts> = {}): HostFacts {
  return {
    kernel: { release: '6.1.0', major: 6, minor: 1 },
    architecture: 'x64',
    cgroup: {
      version: 'v2',
      controllers: new Set(['cpuset', 'cpu', 'io', 'memory', 'pids']),
      swapAccounting: true,
      blkioWeight: true,
    },
    capabilities: CAPABILITIES,
    rlimits: new Map([['RLIMIT_NOFILE', { soft: 1024, hard: 4096 }]]),
    oomScoreAdj: 0,
    appArmor: false,
    overlay: true,
    seccompProfile: undefined,
    tools: {
      runc: tool,
      conmon: tool,
      socat: tool,
      iptables: tool,
      init: { ...tool, package: 'catatonit' },
      git: tool,
    },
    ...changes,
  };
}

import { access, constants, readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { capabilitiesOfMask } from '../spec/capabilities.ts';
import type { HostFacts } from './host-facts.ts';
import { probeCgroups } from './probe-cgroups.ts';
import { probeTools } from './probe-tools.ts';

export const SECCOMP_PROFILE = {
  path: '/usr/share/containers/seccomp.json',
  package: 'golang-github-containers-common',
};

/** Looks once at everything a worker needs of its machine. Missing parts are reported, never thrown. */
export async function probeHost(): Promise<HostFacts> {
  const [cgroup, tools, status, limits, oomScoreAdj, filesystems, seccompProfile, appArmor] =
    await Promise.all([
      probeCgroups(),
      probeTools(),
      readFile('/proc/self/status', 'utf8'),
      readFile('/proc/self/limits', 'utf8'),
      readFile('/proc/self/oom_score_adj', 'utf8'),
      readFile('/proc/filesystems', 'utf8'),
      readFile(SECCOMP_PROFILE.path, 'utf8').catch(() => undefined),
      access('/sys/kernel/security/apparmor', constants.F_OK).then(
        () => true,
        () => false,
      ),
    ]);
  const [major = 0, minor = 0] = release().split(/[.-]/).map(Number);
  return {
    kernel: { release: release(), major, minor },
    architecture: process.arch,
    cgroup,
    capabilities: heldCapabilities(status),
    rlimits: parseLimits(limits),
    oomScoreAdj: Number(oomScoreAdj),
    appArmor,
    overlay: /\boverlay$/m.test(filesystems),
    seccompProfile,
    tools,
  };
}

/** What may be given on: the bounding set, of which the worker itself must hold each. */
function heldCapabilities(status: string): string[] {
  const mask = (field: string) => new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0';
  const permitted = new Set(capabilitiesOfMask(mask('CapPrm')));
  return capabilitiesOfMask(mask('CapBnd')).filter((name) => permitted.has(name));
}

/** By the words of /proc/<pid>/limits. */
const LIMITS: Record<string, string> = {
  'Max cpu time': 'RLIMIT_CPU',
  'Max file size': 'RLIMIT_FSIZE',
  'Max data size': 'RLIMIT_DATA',
  'Max stack size': 'RLIMIT_STACK',
  'Max core file size': 'RLIMIT_CORE',
  'Max resident set': 'RLIMIT_RSS',
  'Max processes': 'RLIMIT_NPROC',
  'Max open files': 'RLIMIT_NOFILE',
  'Max locked memory': 'RLIMIT_MEMLOCK',
  'Max address space': 'RLIMIT_AS',
  'Max file locks': 'RLIMIT_LOCKS',
  'Max pending signals': 'RLIMIT_SIGPENDING',
  'Max msgqueue size': 'RLIMIT_MSGQUEUE',
  'Max nice priority': 'RLIMIT_NICE',
  'Max realtime priority': 'RLIMIT_RTPRIO',
  'Max realtime timeout': 'RLIMIT_RTTIME',
};

function parseLimits(text: string): Map<string, { soft: number; hard: number }> {
  const value = (word: string) => (word === 'unlimited' ? Number.POSITIVE_INFINITY : Number(word));
  const limits = new Map<string, { soft: number; hard: number }>();
  for (const line of text.split('\n')) {
    const match = /^(Max [a-z ]*?)\s{2,}(\w+)\s+(\w+)/.exec(line);
    const name = match?.[1] && LIMITS[match[1]];
    if (match && name) limits.set(name, { soft: value(match[2]!), hard: value(match[3]!) });
  }
  return limits;
}

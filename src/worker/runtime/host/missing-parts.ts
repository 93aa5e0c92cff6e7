import type { HostFacts } from './host-facts.ts';
import { SECCOMP_PROFILE } from './probe-host.ts';

export interface MissingPart {
  readonly name: string;
  readonly purpose: string;
  readonly required: boolean;
  /** What to do about it. */
  readonly remedy: string;
}

/** What stands between this machine and a complete worker, the required parts first. */
export function missingParts(host: HostFacts): MissingPart[] {
  const missing: MissingPart[] = Object.entries(host.tools)
    .filter(([, tool]) => tool.path === undefined)
    .map(([name, { purpose, required, package: debianPackage }]) => ({
      name,
      purpose,
      required,
      remedy: `apt-get install ${debianPackage}`,
    }));
  if (host.seccompProfile === undefined) {
    missing.push({
      name: 'seccomp profile',
      purpose: 'keeps dangerous system calls from containers',
      required: true,
      remedy: `apt-get install ${SECCOMP_PROFILE.package}`,
    });
  }
  if (!host.overlay) {
    missing.push({ name: 'overlayfs', purpose: 'layers', required: true, remedy: 'modprobe overlay' });
  }
  if (!host.capabilities.includes('CAP_SYS_ADMIN')) {
    missing.push({
      name: 'root',
      purpose: 'mounts and namespaces',
      required: true,
      remedy: 'run the worker as root',
    });
  }
  return missing.toSorted((a, b) => Number(b.required) - Number(a.required));
}

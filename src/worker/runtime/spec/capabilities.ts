import { invalid } from '#errors/errors.ts';

/** By number, as in <linux/capability.h>. */
export const CAPABILITIES = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** What a container has unless told otherwise: enough to run packages' own scripts, nothing that reaches the host. */
const DEFAULT = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
].map((name) => `CAP_${name}`);

interface CapabilityRequest {
  readonly privileged?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
}

/**
 * The capabilities of a container, of those the host can give (asking for one that the worker itself was
 * denied would make the runtime fail as a whole). Throws `invalid` for a name that does not exist.
 */
export function capabilitiesFor(request: CapabilityRequest, available: readonly string[]): string[] {
  const granted = request.privileged ? CAPABILITIES : tweak(request.capAdd ?? [], request.capDrop ?? []);
  return granted.filter((name) => available.includes(name));
}

function tweak(capAdd: readonly string[], capDrop: readonly string[]): readonly string[] {
  const add = capAdd.map((name) => normalize(name, 'CapAdd'));
  const drop = capDrop.map((name) => normalize(name, 'CapDrop'));
  const base = add.includes('ALL') ? CAPABILITIES : drop.includes('ALL') ? [] : DEFAULT;
  const dropped = new Set(drop);
  return [
    ...new Set([...base.filter((name) => !dropped.has(name)), ...add.filter((name) => name !== 'ALL')]),
  ];
}

function normalize(name: string, field: string): string {
  const upper = name.toUpperCase();
  if (upper === 'ALL') return upper;
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (!CAPABILITIES.includes(full)) throw invalid(`invalid ${field}: unknown capability: "${full}"`);
  return full;
}

/** The names in a mask as /proc/<pid>/status prints it. */
export function capabilitiesOfMask(hex: string): string[] {
  const mask = BigInt(`0x${hex}`);
  return CAPABILITIES.filter((_, bit) => (mask >> BigInt(bit)) & 1n);
}

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unsupported } from '#errors/errors.ts';
import { formatPlatform, hostPlatform, type Platform } from '#oci/platform.ts';

/** The kernel's table of what starts foreign programs (Documentation/admin-guide/binfmt-misc.rst). */
const HANDLERS = '/proc/sys/fs/binfmt_misc';
/** What a processor runs besides its own. */
const ALSO: Readonly<Record<string, readonly string[]>> = { amd64: ['386'], arm64: ['arm'] };
/** Go's names of what QEMU emulates, by QEMU's, as Debian's qemu-user-static and tonistiigi/binfmt register them. */
const EMULATED: Readonly<Record<string, string>> = {
  'qemu-x86_64': 'amd64',
  'qemu-aarch64': 'arm64',
  'qemu-arm': 'arm',
  'qemu-i386': '386',
  'qemu-riscv64': 'riscv64',
  'qemu-ppc64le': 'ppc64le',
  'qemu-s390x': 's390x',
  'qemu-mips64el': 'mips64le',
  'qemu-mips64': 'mips64',
  'qemu-loongarch64': 'loong64',
};

/** Platforms whose programs run here: this machine's own, what its processor knows besides, what is emulated. */
export async function runnablePlatforms(): Promise<Platform[]> {
  return [...nativePlatforms(), ...(await emulatedPlatforms())];
}

/** This machine's own platform first. */
export function nativePlatforms(): Platform[] {
  const { architecture } = hostPlatform();
  return [architecture, ...(ALSO[architecture] ?? [])].map(onLinux);
}

/** What has no need to be emulated is not among them. */
export async function emulatedPlatforms(): Promise<Platform[]> {
  const names = await readdir(HANDLERS).catch((): string[] => []);
  const emulated = (await Promise.all(names.map(emulatedBy))).flat().toSorted();
  const native = nativePlatforms().map(({ architecture }) => architecture);
  return [...new Set(emulated)].filter((each) => !native.includes(each)).map(onLinux);
}

function onLinux(architecture: string): Platform {
  return { os: 'linux', architecture };
}

/** Whether this machine's own processor runs a platform's programs. */
export function isNative({ os, architecture }: Platform): boolean {
  return nativePlatforms().some((known) => known.os === os && known.architecture === architecture);
}

/** Whether they run here, by an emulator if need be. */
export async function isRunnable({ os, architecture }: Platform): Promise<boolean> {
  return (await runnablePlatforms()).some((known) => known.os === os && known.architecture === architecture);
}

/** Throws `unsupported` for a platform whose programs neither this processor nor an emulator runs. */
export async function requireRunnable(platform: Platform | undefined): Promise<void> {
  const own = hostPlatform();
  if (!platform || (platform.os === own.os && platform.architecture === own.architecture)) return;
  if (await isRunnable(platform)) return;
  throw unsupported(
    `cannot run commands for ${formatPlatform(platform)} on ${formatPlatform(own)}: no emulator is registered (apt-get install qemu-user-static)`,
  );
}

/** An emulator that the kernel has not opened beforehand (flag F) would be looked for in the step's own files. */
async function emulatedBy(name: string): Promise<string[]> {
  const architecture = EMULATED[name];
  if (!architecture) return [];
  const handler = await readFile(join(HANDLERS, name), 'utf8').catch(() => '');
  return /^enabled$/m.test(handler) && /^flags: \w*F/m.test(handler) ? [architecture] : [];
}

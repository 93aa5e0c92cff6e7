import { readdir } from 'node:fs/promises';
import { unsupported } from '#errors/errors.ts';
import { formatPlatform, hostPlatform, type Platform } from '#oci/platform.ts';

const HANDLERS = '/proc/sys/fs/binfmt_misc';
/** What a processor runs besides its own. */
const ALSO: Readonly<Record<string, readonly string[]>> = { amd64: ['386'], arm64: ['arm'] };
/** QEMU's names where they differ from Go's. */
const QEMU: Readonly<Record<string, string>> = {
  amd64: 'x86_64',
  arm64: 'aarch64',
  '386': 'i386',
  mips64le: 'mips64el',
  ppc64le: 'ppc64le',
  loong64: 'loongarch64',
};

/** Throws `unsupported` for a platform whose programs neither this processor nor an emulator runs. */
export async function requireRunnable(platform: Platform | undefined): Promise<void> {
  const own = hostPlatform();
  if (!platform || (platform.os === own.os && platform.architecture === own.architecture)) return;
  const { os, architecture } = platform;
  const name = `qemu-${QEMU[architecture] ?? architecture}`;
  if (os === 'linux') {
    if (ALSO[own.architecture]?.includes(architecture)) return;
    const handlers = await readdir(HANDLERS).catch((): string[] => []);
    if (handlers.includes(name)) return;
  }
  throw unsupported(
    `cannot run commands for ${formatPlatform(platform)} on ${formatPlatform(own)}: no emulator is registered (apt-get install qemu-user-static)`,
  );
}

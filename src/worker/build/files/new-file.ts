import { closeSync, constants, fchmodSync, fchownSync, openSync, readFileSync, writeSync } from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';
import { setFileTimes } from '#worker/snapshots/libc.ts';
import type { FileTime } from './file-metadata.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

/** A regular file that is to be made. */
export interface NewFile {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: FileTime;
}

/** Makes a file with these contents. Throws if there is something of its name. */
export function writeNewFile(file: NewFile, contents: Uint8Array): void {
  const fd = createNewFile(file);
  try {
    writeWhole(fd, contents);
    describeNewFile(fd, file, { created: true });
  } finally {
    closeSync(fd);
  }
}

/** Its descriptor, to be closed. */
export function createNewFile({ path, mode }: NewFile): number {
  return openSync(systemPath(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0o777);
}

export function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/**
 * `created`: with its mode, by `createNewFile`. In this order: a new owner clears set-user-ID bits, and what is written
 * comes before the time.
 */
export function describeNewFile(
  fd: number,
  { mode, uid, gid, time }: NewFile,
  { created }: { created: boolean },
): void {
  if (uid !== 0 || gid !== 0) fchownSync(fd, uid, gid);
  const whole = created && (mode & (0o7000 | umask())) === 0;
  if (!whole) fchmodSync(fd, mode);
  setFileTimes(fd, time.seconds, time.nanoseconds);
}

let known: number | undefined;

/** As the kernel tells it: Node's own way of asking changes it for a moment, for all threads. */
function umask(): number {
  known ??= Number.parseInt(
    /^Umask:\s+(\d+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '777',
    8,
  );
  return known;
}

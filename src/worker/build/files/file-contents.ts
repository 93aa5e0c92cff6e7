import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { unavailable } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import { padding } from '#tar/writer.ts';
import { setFileTimes } from '#worker/snapshots/libc.ts';
import type { ChunkBuffer } from '#worker/snapshots/tree/chunk-buffer.ts';
import type { ListedFile } from '#worker/snapshots/tree/directory-listing.ts';
import type { FileTime } from './file-metadata.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;
/** From it on, a file system that can share the blocks of two files is asked to. */
const LARGE_BYTES = 1024 * 1024;

interface NewFile {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: FileTime;
}

/** Makes a file with the contents of another one, and appends them to `output`, filled up to a tar's block. */
export function copyContents(
  { path, stats: { size } }: ListedFile,
  file: NewFile,
  output: ChunkBuffer,
): void {
  const cloned = size >= LARGE_BYTES;
  if (cloned) copyFileSync(systemPath(path), systemPath(file.path), COPYFILE_EXCL | COPYFILE_FICLONE);
  const flags = cloned ? O_WRONLY | O_NOFOLLOW : O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  const to = openSync(systemPath(file.path), flags, file.mode & 0o777);
  try {
    if (size > 0) append(path, size, output, cloned ? undefined : to);
    describe(to, file, cloned);
  } finally {
    closeSync(to);
  }
}

function append(path: string, size: number, output: ChunkBuffer, to: number | undefined): void {
  const from = openSync(systemPath(path), O_RDONLY | O_NOFOLLOW);
  try {
    for (let remaining = size; remaining > 0; ) {
      const space = output.space();
      const read = readSync(from, space, 0, Math.min(space.length, remaining), null);
      if (read === 0) throw unavailable('a file became shorter while it was copied');
      for (let at = 0; to !== undefined && at < read; ) at += writeSync(to, space, at, read - at);
      output.advance(read);
      remaining -= read;
    }
  } finally {
    closeSync(from);
  }
  output.append(padding(size));
}

/** In this order: a new owner clears set-user-ID bits, and what is written comes before the time. */
function describe(fd: number, { mode, uid, gid, time }: NewFile, cloned: boolean): void {
  if (uid !== 0 || gid !== 0) fchownSync(fd, uid, gid);
  const whole = !cloned && (mode & (0o7000 | umask())) === 0;
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

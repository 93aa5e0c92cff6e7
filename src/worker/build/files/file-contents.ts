import { closeSync, constants, copyFileSync, openSync, readSync } from 'node:fs';
import { unavailable } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import { padding } from '#tar/writer.ts';
import type { ChunkBuffer } from '#worker/snapshots/tree/chunk-buffer.ts';
import type { ListedFile } from '#worker/snapshots/tree/directory-listing.ts';
import { createNewFile, describeNewFile, type NewFile, writeWhole } from './new-file.ts';
import type { SharedWriting } from './shared-writing.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;
/** From it on, a file system that can share the blocks of two files is asked to. */
const LARGE_BYTES = 1024 * 1024;

/**
 * Makes a file with the contents of another one, and appends them to `output`, filled up to a tar's block. It is there
 * once `sharing` has finished.
 */
export function copyContents(
  { path, stats: { size } }: ListedFile,
  file: NewFile,
  output: ChunkBuffer,
  sharing: SharedWriting,
): void {
  if (sharing.takes(size)) {
    const contents = Buffer.allocUnsafe(size);
    read(path, size, (from) => readInto(from, contents));
    output.append(contents);
    output.append(padding(size));
    sharing.add(file, contents);
    return;
  }
  const cloned = size >= LARGE_BYTES;
  if (cloned) copyFileSync(systemPath(path), systemPath(file.path), COPYFILE_EXCL | COPYFILE_FICLONE);
  const to = cloned ? openSync(systemPath(file.path), O_WRONLY | O_NOFOLLOW) : createNewFile(file);
  try {
    if (size > 0) append(path, size, output, cloned ? undefined : to);
    describeNewFile(to, file, { created: !cloned });
  } finally {
    closeSync(to);
  }
}

function append(path: string, size: number, output: ChunkBuffer, to: number | undefined): void {
  read(path, size, (from) => {
    for (let remaining = size; remaining > 0; ) {
      const space = output.space();
      const bytes = readSome(from, space.subarray(0, remaining));
      if (to !== undefined) writeWhole(to, space.subarray(0, bytes));
      output.advance(bytes);
      remaining -= bytes;
    }
  });
  output.append(padding(size));
}

function read(path: string, size: number, task: (from: number) => void): void {
  if (size === 0) return;
  const from = openSync(systemPath(path), O_RDONLY | O_NOFOLLOW);
  try {
    task(from);
  } finally {
    closeSync(from);
  }
}

function readInto(from: number, contents: Uint8Array): void {
  for (let at = 0; at < contents.length; ) at += readSome(from, contents.subarray(at));
}

function readSome(from: number, space: Uint8Array): number {
  const bytes = readSync(from, space, 0, space.length, null);
  if (bytes === 0) throw unavailable('a file became shorter while it was copied');
  return bytes;
}

import { createReadStream, existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TarEntry } from '#tar/entry.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';
import { readIgnoreFile } from '#worker/build/context/ignore-file.ts';
import { permissionsOfGoMode, typeOfGoMode } from '#worker/buildkit/fsutil/go-mode.ts';
import { TreeSelection } from '#worker/buildkit/fsutil/tree-selection.ts';
import { type StatInit, walkTree } from '#worker/buildkit/fsutil/tree-walk.ts';

/** What is needed whatever `.dockerignore` says. */
const KEPT = ['!.dockerignore', '!Dockerfile', '!dockerfile'];

/** A directory as a tar, without what its `.dockerignore` names. The same files give the same bytes. */
export async function* archiveDirectory(root: string): AsyncGenerator<Uint8Array> {
  const file = join(root, '.dockerignore');
  const ignored = existsSync(file) ? readIgnoreFile(await readFile(file, 'utf8')) : [];
  const excludePatterns = ignored.length > 0 ? [...ignored, ...KEPT] : [];
  const selection = TreeSelection.of({ includePatterns: [], excludePatterns });
  const owner = { uid: 0, gid: 0 };
  yield* writeTar(inputsOf(root, walkTree(root, { owner, ...(selection && { selection }) })));
}

async function* inputsOf(root: string, stats: AsyncIterable<StatInit>): AsyncGenerator<TarInput> {
  for await (const stat of stats) {
    const entry = entryOf(stat);
    if (!entry) continue;
    const body = entry.size > 0 ? createReadStream(join(root, stat.path), { end: entry.size - 1 }) : [];
    yield { entry, body };
  }
}

function entryOf({ path, mode, linkname, size = 0n, modTime = 0n }: StatInit): TarEntry | undefined {
  const kind = typeOfGoMode(mode);
  if (kind !== 'file' && kind !== 'directory' && kind !== 'symlink' && kind !== 'fifo') return undefined;
  const type = kind === 'file' && linkname ? 'hardlink' : kind;
  return {
    path,
    type,
    mode: permissionsOfGoMode(mode),
    uid: 0,
    gid: 0,
    size: type === 'file' ? Number(size) : 0,
    mtime: Number(BigInt(modTime) / 1_000_000_000n),
    ...(linkname && { linkPath: linkname }),
  };
}

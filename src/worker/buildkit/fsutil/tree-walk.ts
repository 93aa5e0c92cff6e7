import { lstat, readdir, readlink } from 'node:fs/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalid } from '#errors/errors.ts';
import type { StatSchema } from '../proto/github.com/tonistiigi/fsutil/types/stat_pb.ts';
import { goMode } from './go-mode.ts';
import { compareNames } from './path-order.ts';

export type StatInit = MessageInitShape<typeof StatSchema> & { path: string; mode: number };

/**
 * Everything below a directory in the order that fsutil wants, without sockets. What has several names is a file at the
 * first and a link to it at the others. `mtime`: the time of everything. Throws `invalid` for a name that is no UTF-8.
 */
export async function* walkTree(root: string, options: { mtime?: Date }): AsyncGenerator<StatInit> {
  const time = options.mtime && BigInt(options.mtime.getTime()) * 1_000_000n;
  yield* walk({ root, time, firstNames: new Map() }, '');
}

interface Walk {
  readonly root: string;
  readonly time: bigint | undefined;
  readonly firstNames: Map<string, string>;
}

async function* walk(state: Walk, directory: string): AsyncGenerator<StatInit> {
  const names = await readdir(`${state.root}/${directory}`);
  for (const name of names.sort(compareNames)) {
    const path = directory === '' ? name : `${directory}/${name}`;
    if (path.includes('\uFFFD')) throw invalid(`cannot send a file whose name is not UTF-8: ${path}`);
    const stat = await lstat(`${state.root}/${path}`, { bigint: true });
    if (stat.isSocket()) continue;
    const mode = goMode(Number(stat.mode));
    const linkname = stat.isSymbolicLink()
      ? await readlink(`${state.root}/${path}`)
      : hardlink(state, path, stat);
    const device = stat.isBlockDevice() || stat.isCharacterDevice();
    yield {
      path,
      mode,
      linkname,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: stat.isFile() && linkname === '' ? stat.size : 0n,
      modTime: state.time ?? stat.mtimeNs,
      devmajor: device ? (stat.rdev >> 8n) & 0xfffn : 0n,
      devminor: device ? (stat.rdev & 0xffn) | ((stat.rdev >> 12n) & 0xfff00n) : 0n,
    };
    if (stat.isDirectory()) yield* walk(state, path);
  }
}

function hardlink(
  { firstNames }: Walk,
  path: string,
  stat: { isFile(): boolean; nlink: bigint; dev: bigint; ino: bigint },
): string {
  if (!stat.isFile() || stat.nlink < 2n) return '';
  const key = `${stat.dev}:${stat.ino}`;
  const first = firstNames.get(key);
  if (first === undefined) firstNames.set(key, path);
  return first ?? '';
}

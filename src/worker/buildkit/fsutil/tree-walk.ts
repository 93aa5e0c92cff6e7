import type { BigIntStats } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalid } from '#errors/errors.ts';
import type { FilterState } from '#worker/build/files/path-filter.ts';
import type { StatSchema } from '../proto/github.com/tonistiigi/fsutil/types/stat_pb.ts';
import { goMode } from './go-mode.ts';
import { compareNames } from './path-order.ts';
import type { TreeSelection } from './tree-selection.ts';

export type StatInit = MessageInitShape<typeof StatSchema> & { path: string; mode: number };

export interface WalkOptions {
  /** The time of everything. */
  readonly mtime?: Date;
  /** Whose everything is. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** What of it; undefined: all. */
  readonly selection?: TreeSelection;
}

/**
 * Everything below a directory in the order that fsutil wants, without sockets; of a selection also the directories on the
 * way to it. What has several names is a file at the first and a link to it at the others. Throws `invalid` for a name that
 * is no UTF-8.
 */
export async function* walkTree(root: string, options: WalkOptions): AsyncGenerator<StatInit> {
  const time = options.mtime && BigInt(options.mtime.getTime()) * 1_000_000n;
  yield* walk({ ...options, root, time, firstNames: new Map() }, { path: '', state: undefined, pending: [] });
}

interface Walk extends WalkOptions {
  readonly root: string;
  readonly time: bigint | undefined;
  readonly firstNames: Map<string, string>;
}

interface Directory {
  readonly path: string;
  readonly state: FilterState | undefined;
  /** Directories on the way to it that were not listed yet: they are when something in them is. */
  readonly pending: StatInit[];
}

async function* walk(context: Walk, directory: Directory): AsyncGenerator<StatInit> {
  const names = await readdir(`${context.root}/${directory.path}`);
  for (const name of names.sort(compareNames)) {
    const path = directory.path === '' ? name : `${directory.path}/${name}`;
    const verdict = context.selection?.check(path, directory.state) ?? EVERYTHING;
    if (!verdict.selected && !verdict.enter) continue;
    if (path.includes('\uFFFD')) throw invalid(`cannot send a file whose name is not UTF-8: ${path}`);
    const stat = await lstat(`${context.root}/${path}`, { bigint: true });
    const isDirectory = stat.isDirectory();
    if (stat.isSocket() || (!verdict.selected && !isDirectory)) continue;
    const entry = await entryOf(context, path, stat);
    if (verdict.selected) {
      yield* directory.pending.splice(0);
      yield entry;
    } else directory.pending.push(entry);
    if (!isDirectory) continue;
    const { pending } = directory;
    yield* walk(context, { path, state: verdict.state, pending });
    if (!verdict.selected && pending.at(-1) === entry) pending.pop();
  }
}

const EVERYTHING = { selected: true, enter: true, state: undefined };

async function entryOf(context: Walk, path: string, stat: BigIntStats): Promise<StatInit> {
  const linkname = stat.isSymbolicLink()
    ? await readlink(`${context.root}/${path}`)
    : hardlink(context, path, stat);
  const device = stat.isBlockDevice() || stat.isCharacterDevice();
  return {
    path,
    mode: goMode(Number(stat.mode)),
    linkname,
    uid: context.owner?.uid ?? Number(stat.uid),
    gid: context.owner?.gid ?? Number(stat.gid),
    size: stat.isFile() && linkname === '' ? stat.size : 0n,
    modTime: context.time ?? stat.mtimeNs,
    devmajor: device ? (stat.rdev >> 8n) & 0xfffn : 0n,
    devminor: device ? (stat.rdev & 0xffn) | ((stat.rdev >> 12n) & 0xfff00n) : 0n,
  };
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

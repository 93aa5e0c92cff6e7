import {
  chmodSync,
  closeSync,
  constants,
  openSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { invalid, isKind, notFound, systemCode } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import { parseChmod } from '../dockerfile/chmod.ts';
import type {
  CopyAction,
  MakeDirectoryAction,
  MakeFileAction,
  RemoveAction,
  SymlinkAction,
} from '../llb/op.ts';
import { isArchive, unpackArchive } from './archive-unpacker.ts';
import { DirectoryTree } from './directory-tree.ts';
import { describeNew, type Metadata, makeDirectories, timeOf } from './file-metadata.ts';
import { cleanSource, findSources } from './find-sources.ts';
import { type CopiedLayer, copyIntoLayer } from './layer-copy.ts';
import { PathFilter } from './path-filter.ts';
import { absolutePath, rootPath, statOf } from './root-path.ts';
import type { Owner } from './rooted-directory.ts';
import type { WritingHelp } from './shared-writing.ts';
import { TreeCopy, type TreeCopyOptions } from './tree-copy.ts';

/** An action whose owner is looked up and whose source is a directory of this machine. */
export type ReadyAction =
  | (Ready<CopyAction> & { readonly source: string })
  | Ready<MakeFileAction>
  | Ready<MakeDirectoryAction>
  | RemoveAction
  | Ready<SymlinkAction>;

type Ready<A> = Omit<A, 'owner'> & { readonly owner?: Owner };

export interface UnpackLimits {
  /** Of what an archive unpacks to. */
  readonly maxBytes: number;
  readonly maxEntries: number;
}

const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants;

/** Does one thing to a mounted root file system that nobody else writes to. Never leaves it, whatever is in it. */
export async function applyAction(root: string, action: ReadyAction, limits: UnpackLimits): Promise<void> {
  try {
    switch (action.type) {
      case 'copy':
        return await copy(root, action, limits);
      case 'mkfile':
        return makeFile(root, action);
      case 'mkdir':
        return makeDirectory(root, action);
      case 'rm':
        return remove(root, action);
      case 'symlink':
        return makeLink(root, action);
    }
  } catch (error) {
    throw withoutRoots(error, [root, ...('source' in action ? [action.source] : [])]);
  }
}

async function copy(
  root: string,
  action: Extract<ReadyAction, { type: 'copy' }>,
  limits: UnpackLimits,
): Promise<void> {
  const { source, allowWildcard, followSymlink: follow, dirCopyContents: contents } = action;
  const destination = cleanSource(action.dest);
  if (!action.createDestPath) requireParent(root, action.dest);
  const paths = allowWildcard ? findSources(source, action.src, { follow }) : [cleanSource(action.src)];
  if (paths.length === 0 && !action.allowEmptyWildcard)
    throw notFound(`${cleanSource(action.src)} not found`);
  const options = copyOptions(action);
  using tree = new DirectoryTree(source);
  for (const path of paths) {
    if (action.unpack && (await unpacked(root, path, destination, { tree, action, limits }))) continue;
    new TreeCopy({ source, target: root }, options).copy(path, destination, { contents, follow });
  }
}

function copyOptions(action: Extract<ReadyAction, { type: 'copy' }>): TreeCopyOptions {
  const change = action.mode ? parseChmod(action.mode) : undefined;
  const filter = PathFilter.of(action);
  return {
    ...metadataOf(action),
    ...(change && { mode: change.apply }),
    ...(change?.octal !== undefined && { parentMode: change.octal }),
    ...(filter && { filter }),
    replace: action.alwaysReplaceExistingDestPaths ?? false,
  };
}

/** A plain copy as a layer; see `copyIntoLayer`. */
export function copyAsLayer(
  action: Extract<ReadyAction, { type: 'copy' }>,
  { upper, lowers, help }: { upper: string; lowers: readonly string[]; help?: WritingHelp | undefined },
): CopiedLayer | undefined {
  const { source, dirCopyContents: contents, followSymlink: follow } = action;
  try {
    const [path, destination] = [cleanSource(action.src), cleanSource(action.dest)];
    const request = { source, path, destination, contents, follow, upper, lowers, help };
    return copyIntoLayer(request, copyOptions(action));
  } catch (error) {
    throw withoutRoots(error, [upper, source]);
  } finally {
    // Whoever helps waits for that, whether or not the copy has begun.
    help?.port.close();
  }
}

/** Whether it was an archive, and is unpacked now. */
async function unpacked(
  root: string,
  path: string,
  destination: string,
  {
    tree,
    action,
    limits,
  }: { tree: DirectoryTree; action: Extract<ReadyAction, { type: 'copy' }>; limits: UnpackLimits },
): Promise<boolean> {
  const file = rootPath(action.source, path).slice(action.source.length + 1);
  if (tree.node(file)?.type !== 'file' || !(await isArchive(tree, file))) return false;
  const directory = rootPath(root, destination);
  makeDirectories(directory, 0o755, metadataOf(action));
  const { owner } = action;
  await unpackArchive(tree, file, {
    root,
    directory: directory.slice(root.length + 1),
    ...(owner && { owner }),
    ...limits,
  });
  return true;
}

function requireParent(root: string, path: string): void {
  const parent = rootPath(root, absolutePath(path)).split('/').slice(0, -1).join('/');
  if (!statOf(parent)) throw notFound(`failed to stat ${path}: no such file or directory`);
}

function makeFile(root: string, action: Extract<ReadyAction, { type: 'mkfile' }>): void {
  const path = rootPath(root, action.path);
  const there = statOf(path);
  if (there && !there.isFile()) {
    throw invalid(`open ${action.path}: ${there.isDirectory() ? 'is a directory' : 'it is no regular file'}`);
  }
  const mode = action.mode & 0o777;
  const fd = openSync(systemPath(path), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
  try {
    writeFileSync(fd, action.data);
  } finally {
    closeSync(fd);
  }
  if (!there) chmodSync(systemPath(path), mode);
  describeNew(path, metadataOf(action));
}

function makeDirectory(root: string, action: Extract<ReadyAction, { type: 'mkdir' }>): void {
  const path = rootPath(root, action.path);
  const mode = action.mode & 0o777;
  const missingParent = !action.makeParents && !statOf(path.slice(0, path.lastIndexOf('/')));
  if (missingParent) throw notFound(`mkdir ${action.path}: no such file or directory`);
  const before = statOf(path);
  if (before && !before.isDirectory()) {
    if (!action.makeParents) return;
    throw invalid(`mkdir ${action.path}: not a directory`);
  }
  makeDirectories(path, mode, metadataOf(action));
}

function remove(root: string, { path, allowWildcard, allowNotFound }: RemoveAction): void {
  const paths = allowWildcard ? findSources(root, path, { follow: false }) : [path];
  for (const found of paths) {
    const target = rootPath(root, absolutePath(found), { followLast: false });
    if (target === root) throw invalid('rm: the root cannot be removed');
    if (!allowNotFound && !statOf(target)) throw notFound(`stat ${found}: no such file or directory`);
    rmSync(systemPath(target), { recursive: true, force: true });
  }
}

function makeLink(root: string, action: Extract<ReadyAction, { type: 'symlink' }>): void {
  const path = rootPath(root, action.newpath);
  symlinkSync(systemPath(action.oldpath), systemPath(path));
  try {
    describeNew(path, metadataOf(action));
  } catch (error) {
    unlinkSync(systemPath(path));
    throw error;
  }
}

function metadataOf({ owner, timestamp }: { owner?: Owner; timestamp?: bigint }): Metadata {
  return { ...(owner && { owner }), ...(timestamp !== undefined && { time: timeOf(timestamp) }) };
}

/** A system's error as a user of the build sees it: with paths as the build has them. */
function withoutRoots(error: unknown, roots: readonly string[]): unknown {
  const code = systemCode(error);
  if (isKind(error, 'canceled') || code === undefined || !(error instanceof Error) || 'kind' in error) {
    return error;
  }
  const told = inGoWords(error as NodeJS.ErrnoException);
  const message = roots.reduce((text, root) => text.replaceAll(root, ''), told);
  if (code === 'ENOENT') return notFound(message, { cause: error });
  const mine = ['EEXIST', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'EINVAL'].includes(code);
  return mine ? invalid(message, { cause: error }) : error;
}

/** `open /a: no such file or directory` for Node's `ENOENT: no such file or directory, open '/a'`. */
function inGoWords({ message, syscall, path, dest }: NodeJS.ErrnoException & { dest?: string }): string {
  const [, why] = /^[A-Z]+: (.*?), /.exec(message) ?? [];
  if (why === undefined || syscall === undefined) return message;
  const reason = why === 'file already exists' ? 'file exists' : why;
  const places = [path, dest].filter((place) => place !== undefined);
  return `${[syscall, ...places].join(' ')}: ${reason}`;
}

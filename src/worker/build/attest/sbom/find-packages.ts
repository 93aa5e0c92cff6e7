import { type FileTree, joinPath } from '../../files/file-tree.ts';
import type { FoundPackage } from './found-package.ts';
import { PACKAGE_DATABASES } from './package-databases.ts';

export interface FoundPackages {
  readonly packages: readonly FoundPackage[];
  /** `debian`, `alpine`: the ID of os-release. */
  readonly distribution: string | undefined;
  /** `debian-12`, as package URLs have it. */
  readonly distributionRelease: string | undefined;
}

/** No database of packages is larger; what says that it is, is left out. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const MAX_PACKAGES = 200_000;

/** Kernel file systems, of which an image has the mount points alone. */
const SKIPPED: ReadonlySet<string> = new Set(['proc', 'sys', 'dev']);

/**
 * Looks through a root file system for what package managers of it know. Symbolic links are not followed: nothing is
 * read that is outside, and nothing twice. Synchronous: it lives on a thread.
 */
export function findPackages(tree: FileTree): FoundPackages {
  const packages: FoundPackage[] = [];
  for (const path of filesOf(tree, '')) {
    const database = PACKAGE_DATABASES.find(({ matches }) => matches(path));
    const text = database && readText(tree, path);
    if (text === undefined) continue;
    for (const found of database!.packages(text, path)) {
      if (packages.length < MAX_PACKAGES) packages.push(found);
    }
  }
  const release = osRelease(tree);
  const id = release.get('ID');
  const version = release.get('VERSION_ID');
  return {
    packages,
    distribution: id,
    distributionRelease: id && (version ? `${id}-${version}` : id),
  };
}

function* filesOf(tree: FileTree, directory: string): Generator<string> {
  const pending = [directory];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const name of tree.names(at)) {
      const path = joinPath(at, name);
      const node = tree.node(path);
      if (node?.type === 'file') yield path;
      else if (node?.type === 'directory' && !SKIPPED.has(path)) pending.push(path);
    }
  }
}

function osRelease(tree: FileTree): ReadonlyMap<string, string> {
  const text = readText(tree, 'usr/lib/os-release') ?? readText(tree, 'etc/os-release') ?? '';
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, name, value] = /^([A-Z_]+)=["']?([\w.-]*)["']?$/.exec(line.trim()) ?? [];
      return name && value ? [[name, value]] : [];
    }),
  );
}

/** undefined for what is no regular file, or too large to be what it says it is. */
function readText(tree: FileTree, path: string): string | undefined {
  const node = plainNode(tree, path);
  if (!node || node.size > MAX_FILE_BYTES) return undefined;
  const buffer = Buffer.alloc(node.size);
  let offset = 0;
  while (offset < node.size) {
    const bytes = tree.read(path, buffer.subarray(offset), offset);
    if (bytes === 0) break;
    offset += bytes;
  }
  return buffer.toString('utf8', 0, offset);
}

/** The file at a path none of whose directories is a link. */
function plainNode(tree: FileTree, path: string) {
  const parts = path.split('/');
  for (let length = 1; length < parts.length; length++) {
    if (tree.node(parts.slice(0, length).join('/'))?.type !== 'directory') return undefined;
  }
  const node = tree.node(path);
  return node?.type === 'file' ? node : undefined;
}

import { type ManifestEntry, readManifest } from './content-manifest.ts';

/** How files differ from what they were, in words: `content of a changed`; the most telling first. */
export interface FileChanges {
  readonly told: readonly string[];
  /** So many are not told. */
  readonly more: number;
}

const TOLD = 3;
/** Paths may be long. */
const MAX_PATH = 200;

/** undefined when one of the manifests is not there any more. */
export function fileChanges(before: string, after: string): FileChanges | undefined {
  const [old, now] = [readManifest(before), readManifest(after)];
  if (!old || !now) return undefined;
  const changed: string[] = [];
  const altered: string[] = [];
  for (const [path, entry] of now) {
    const earlier = old.get(path);
    if (!earlier || earlier.digest === entry.digest) continue;
    const list = isAltered(earlier, entry) ? altered : changed;
    list.push(path);
  }
  const added = leaves([...now.keys()].filter((path) => !old.has(path)));
  const removed = leaves([...old.keys()].filter((path) => !now.has(path)));
  const all: [count: number, tell: (at: number) => string][] = [
    [changed.length, (at) => `content of ${shown(changed[at]!)} changed`],
    [added.length, (at) => `${shown(added[at]!)} was added`],
    [removed.length, (at) => `${shown(removed[at]!)} was removed`],
    [altered.length, (at) => `mode or owner of ${shown(altered[at]!)} changed`],
  ];
  const told = all.flatMap(([count, tell]) =>
    Array.from({ length: Math.min(count, TOLD) }, (_, at) => tell(at)),
  );
  const total = all.reduce((sum, [count]) => sum + count, 0);
  return { told: told.slice(0, TOLD), more: Math.max(0, total - TOLD) };
}

/** Another mode and the same size: the contents are most likely the same. */
function isAltered(before: ManifestEntry, now: ManifestEntry): boolean {
  return before.header !== now.header && before.size === now.size;
}

/** Without directories of which something else is told. */
function leaves(paths: readonly string[]): readonly string[] {
  const parents = new Set<string>();
  for (const path of paths) {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
      parents.add(path.slice(0, at));
  }
  return paths.filter((path) => !parents.has(path));
}

function shown(path: string): string {
  return path.length <= MAX_PATH ? path : `…${path.slice(-MAX_PATH)}`;
}

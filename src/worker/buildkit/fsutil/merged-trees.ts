import { invalid } from '#errors/errors.ts';
import type { ExportedTree } from '#worker/build/session/build-session.ts';
import { typeOfGoMode } from './go-mode.ts';
import { comparePaths } from './path-order.ts';
import { type StatInit, type WalkOptions, walkTree } from './tree-walk.ts';

interface Head {
  readonly tree: ExportedTree;
  readonly rest: AsyncIterator<StatInit>;
  stat: StatInit;
}

/** Several directories as one, in the order of a walk. Directories that several have are the first's. */
export class MergedTrees {
  readonly #trees: readonly ExportedTree[];
  readonly #options: WalkOptions;
  /** Of files that are not the first tree's. */
  readonly #roots = new Map<string, string>();

  constructor(trees: readonly ExportedTree[], options: WalkOptions) {
    this.#trees = trees;
    this.#options = options;
  }

  /** Where a listed file is. */
  fileOf(path: string): string {
    return `${this.#roots.get(path) ?? this.#trees[0]?.root}/${path}`;
  }

  /** Throws `invalid` for a file that two of them have, and as `walkTree`. */
  async *entries(): AsyncGenerator<StatInit> {
    const heads: Head[] = [];
    for (const tree of this.#trees) {
      const rest = walkTree(tree.root, this.#options);
      const first = await rest.next();
      if (!first.done) heads.push({ tree, rest, stat: first.value });
    }
    while (heads.length > 0) {
      const next = heads.reduce((least, head) =>
        comparePaths(head.stat.path, least.stat.path) < 0 ? head : least,
      );
      const { stat, tree } = next;
      const same = heads.filter((head) => head.stat.path === stat.path);
      for (const other of same) {
        if (other === next || (isDirectory(stat) && isDirectory(other.stat))) continue;
        throw invalid(
          `cannot overwrite ${stat.path} from ${tree.name} with ${other.tree.name} when split option is disabled`,
        );
      }
      if (tree !== this.#trees[0] && !isDirectory(stat)) this.#roots.set(stat.path, tree.root);
      yield stat;
      for (const head of same) {
        const following = await head.rest.next();
        if (following.done) heads.splice(heads.indexOf(head), 1);
        else head.stat = following.value;
      }
    }
  }
}

function isDirectory({ mode }: StatInit): boolean {
  return typeOfGoMode(mode) === 'directory';
}

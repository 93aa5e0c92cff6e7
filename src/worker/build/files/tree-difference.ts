import { mkdirSync, rmdirSync, type Stats } from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';
import { type ListedFile, listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { makeWhiteout } from '#worker/snapshots/tree/overlay-marks.ts';
import { type FoundFile, sameFile, sameMetadata } from '#worker/snapshots/tree/same-file.ts';
import { copyXattrs, modifiedAt, setOwnerAndMode, setTime } from './file-metadata.ts';
import { statOf } from './root-path.ts';
import { TreeCopy } from './tree-copy.ts';

/**
 * What makes one tree the other: files that are new or differ, directories on the way to them, and overlayfs's marks
 * for what is gone. Synchronous, for a thread of its own.
 */
export class TreeDifference {
  readonly #target: string;

  constructor(target: string) {
    this.#target = target;
  }

  /** undefined: an empty tree. The target directory is empty. */
  write(lower: string | undefined, upper: string | undefined): void {
    this.#directory(lower, upper, this.#target);
    const stats = upper === undefined ? undefined : statOf(upper);
    if (stats) describe(upper!, stats, this.#target);
  }

  /** Answers whether there was a difference. */
  #directory(lower: string | undefined, upper: string | undefined, target: string): boolean {
    const above = upper === undefined ? [] : [...listDirectory(upper)];
    const below = new Map(
      (lower === undefined ? [] : [...listDirectory(lower)]).map((file) => [file.name, file]),
    );
    let different = false;
    for (const file of above) {
      const before = below.get(file.name);
      below.delete(file.name);
      different = this.#file(before, file, target) || different;
    }
    for (const name of below.keys()) makeWhiteout(target, name);
    return different || below.size > 0;
  }

  #file(before: ListedFile | undefined, file: ListedFile, target: string): boolean {
    const isDirectory = file.stats.isDirectory();
    if (before && before.stats.isDirectory() === isDirectory) {
      if (isDirectory) return this.#changed(before, file, `${target}/${file.name}`);
      if (sameFile(before, file)) return false;
    }
    new TreeCopy({ source: parentOf(file), target }, { replace: false }).copy(
      `/${file.name}`,
      `/${file.name}`,
      {
        contents: false,
        follow: false,
      },
    );
    return true;
  }

  #changed(before: FoundFile, file: FoundFile, target: string): boolean {
    mkdirSync(systemPath(target));
    if (this.#directory(before.path, file.path, target) || !sameMetadata(before, file)) {
      describe(file.path, file.stats, target);
      return true;
    }
    rmdirSync(systemPath(target));
    return false;
  }
}

function parentOf({ path, name }: ListedFile): string {
  return path.slice(0, -name.length - 1);
}

function describe(source: string, stats: Stats, target: string): void {
  setOwnerAndMode(target, stats, stats.mode & 0o7777);
  copyXattrs(source, target);
  setTime(target, modifiedAt(stats));
}

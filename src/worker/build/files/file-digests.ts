import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, readSync, type Stats } from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';
import { headerOf } from './content-manifest.ts';
import { type KeptTree, type KnownEntry, TreeMemory } from './tree-memory.ts';

const CHUNK_BYTES = 1024 * 1024;
/** A file is small below it. Of what is small there may be a million: so much is remembered. */
const SMALL_BYTES = 4096;
const MAX_SMALL = 100_000;

/**
 * Digests of a directory's files. With `kept` they stay from one build to the next: a file whose inode, size and time of
 * change are as they were is not read again, and a directory in which nothing has changed is not even looked at.
 */
export class FileDigests {
  readonly #root: string;
  readonly #memory: TreeMemory | undefined;
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #small = 0;

  constructor(root: string, kept: KeptTree | undefined) {
    this.#root = root;
    this.#memory = kept && new TreeMemory(kept);
  }

  /** Of a regular file: of its header, which nothing but `stats` and xattrs make, and of its bytes. */
  of(path: string, stats: Stats, header: () => Buffer): string {
    const before = this.#memory?.known(this.#nameOf(path));
    const same = before?.state === stateOf(stats) && before.header === headerOf(stats);
    return same ? before.digest : this.#read(path, header());
  }

  /** Everything that has a digest of its own is to be told, each directory before what is in it. */
  note(path: string, stats: Stats, digest: string): void {
    if (!this.#memory) return;
    const forgotten = (!stats.isFile() || stats.size < SMALL_BYTES) && ++this.#small > MAX_SMALL;
    const state = stats.isFile() ? stateOf(stats) : '';
    if (forgotten) this.#memory.leaveOut();
    else this.#memory.note(this.#nameOf(path), { header: headerOf(stats), digest, state });
  }

  /** Of a directory with everything in it, if nothing in it has changed; `each` hears of all that it is made of. */
  whole(path: string, each: (name: string, entry: KnownEntry) => void): string | undefined {
    return this.#memory?.whole(this.#nameOf(path), each);
  }

  /** All that is in a directory was noted, and it comes to this. */
  noteWhole(path: string, digest: string): void {
    this.#memory?.noteWhole(this.#nameOf(path), digest);
  }

  /** Files that were not asked for this time stay known. */
  keep(): void {
    this.#memory?.keep();
  }

  #nameOf(path: string): string {
    return path.slice(this.#root.length + 1);
  }

  #read(path: string, header: Buffer): string {
    const hash = createHash('sha256').update(header);
    const fd = openSync(systemPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      for (let bytes = -1; bytes !== 0; ) {
        bytes = readSync(fd, this.#buffer, 0, CHUNK_BYTES, null);
        hash.update(this.#buffer.subarray(0, bytes));
      }
    } finally {
      closeSync(fd);
    }
    return hash.digest('hex');
  }
}

/** Changes with a file. */
function stateOf({ ino, ctimeMs, mtimeMs }: Stats): string {
  return `${ino} ${ctimeMs} ${mtimeMs}`;
}

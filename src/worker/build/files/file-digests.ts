import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';

const CHUNK_BYTES = 1024 * 1024;
/** A file is small below it. Of those there may be a million: so many are remembered. */
const SMALL_BYTES = 4096;
const MAX_SMALL = 100_000;

/**
 * Digests of the contents of a directory's files. With a `memory` file they are kept from one build to the next: a
 * file whose inode, size and time of change are as they were is not read again.
 */
export class FileDigests {
  readonly #root: string;
  readonly #memory: string | undefined;
  readonly #known: ReadonlyMap<string, string>;
  readonly #seen = new Map<string, string>();
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #small = 0;
  #changed = false;

  constructor(root: string, memory: string | undefined) {
    this.#root = root;
    this.#memory = memory;
    this.#known = memory === undefined ? new Map() : recall(memory);
  }

  /** Of a regular file: of its header, which nothing but `stats` and xattrs make, and of its bytes. */
  of(path: string, stats: Stats, header: () => Buffer): string {
    const forgotten = stats.size < SMALL_BYTES && ++this.#small > MAX_SMALL;
    if (this.#memory === undefined || forgotten) return this.#read(path, header());
    const name = path.slice(this.#root.length);
    const state = `${stats.ino} ${stats.size} ${stats.ctimeMs} ${stats.mtimeMs}`;
    const before = this.#known.get(name);
    const digest = before?.startsWith(`${state} `)
      ? before.slice(state.length + 1)
      : this.#read(path, header());
    const entry = `${state} ${digest}`;
    this.#changed ||= before !== entry;
    this.#seen.set(name, entry);
    return digest;
  }

  /** Files that were not asked for this time stay known; those that are gone are forgotten by and by. */
  keep(): void {
    if (this.#memory === undefined || !this.#changed) return;
    // Twice as many as there are now are mostly of files that are no more.
    const merged =
      this.#known.size > 2 * this.#seen.size + 1000 ? this.#seen : new Map([...this.#known, ...this.#seen]);
    const text = [...merged].map(([name, entry]) => `${JSON.stringify(name)} ${entry}`).join('\n');
    const temporary = `${this.#memory}.${process.pid}.${performance.now()}`;
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, this.#memory);
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

function recall(file: string): Map<string, string> {
  const known = new Map<string, string>();
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return known;
  }
  for (const line of text.split('\n')) {
    const end = line.lastIndexOf('" ');
    if (end > 0) known.set(JSON.parse(line.slice(0, end + 1)) as string, line.slice(end + 2));
  }
  return known;
}

import { readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { keepLines } from './kept-lines.ts';

/** Where what is known of a tree is kept. */
export interface KeptTree {
  /** A file, which may not be there. */
  readonly file: string;
  /** Where the tree is. */
  readonly root: string;
  /** Identifies the tree's contents as they are now. */
  readonly id: string;
  readonly changes?: TreeChanges | undefined;
}

/** How a tree has come to be what it is. */
export interface TreeChanges {
  /** It was this one before. */
  readonly since: string;
  /**
   * In which directories something was made, removed or changed, and those that are new or changed themselves. Relative
   * to the root, which is ''.
   */
  readonly directories: readonly string[];
}

/** One file, link or directory, as it was found. */
export interface KnownEntry {
  /** `mode:uid:gid size` */
  readonly header: string;
  /** Of header and contents, in hexadecimal; of a directory itself. */
  readonly digest: string;
  /** Of a file, what changes with it. */
  readonly state: string;
  /** Of a directory, what it and all that is in it come to, while that is known. */
  readonly whole?: string;
}

/** What is known of a tree that was not met is forgotten from so much on: who can tell what of it is still there. */
const MAX_NOT_MET = 250_000;
/** As JSON writes it. */
const MAX_ROOT_BYTES = 32 * 1024;

/**
 * Remembers what digests a tree's entries have, by relative path, from one walk over the tree to the next. Its file:
 * ```
 * "<root of the tree>"
 * "<id of the tree>"
 * "<path>" <mode>:<uid>:<gid> <size> <digest> <inode> <ctime> <mtime>
 * "<path of a directory>" <mode>:<uid>:<gid> 0 <digest> [= <whole>]
 * ```
 */
export class TreeMemory {
  readonly #tree: KeptTree;
  #known: Map<string, KnownEntry>;
  readonly #stamp: string;
  readonly #seen = new Map<string, KnownEntry>();
  /** Directories that were walked to their end. */
  readonly #walked = new Set<string>();
  /** What is in each known directory; made when it is first needed. */
  #children: Map<string, string[]> | undefined;
  #complete = true;
  #changed = false;

  constructor(tree: KeptTree) {
    this.#tree = tree;
    this.#stamp = stampOf(tree.file);
    const { id, entries } = recall(tree);
    this.#known = entries;
    if (id === tree.id) return;
    this.#changed = true;
    if (id !== undefined && id === tree.changes?.since) this.#forgetWholes(tree.changes.directories);
    else for (const name of entries.keys()) this.#forgetWhole(name);
  }

  known(name: string): KnownEntry | undefined {
    return this.#known.get(name);
  }

  note(name: string, entry: KnownEntry): void {
    const before = this.#known.get(name);
    const same = before !== undefined && isSame(entry, before);
    this.#changed ||= !same;
    this.#seen.set(name, same ? before : entry);
  }

  /** Something is not noted: of no directory that is walked from now on all is known. */
  leaveOut(): void {
    this.#complete = false;
  }

  /** Of a directory in which nothing has changed; `each` hears of it and of all that is in it. */
  whole(name: string, each: (name: string, entry: KnownEntry) => void): string | undefined {
    const whole = this.#known.get(name)?.whole;
    if (whole === undefined) return undefined;
    this.#children ??= childrenIn(this.#known.keys());
    const open = [name];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const entry = this.#known.get(at)!;
      this.#seen.set(at, entry);
      each(at, entry);
      // All directories in it are known as a whole; what is below anything else was there before it.
      if (entry.whole !== undefined) open.push(...(this.#children.get(at) ?? []));
    }
    return whole;
  }

  /** All that is in a directory was noted. */
  noteWhole(name: string, digest: string): void {
    if (!this.#complete) return;
    this.#walked.add(name);
    const entry = this.#seen.get(name);
    if (!entry || entry.whole === digest) return;
    this.#seen.set(name, { ...entry, whole: digest });
    this.#changed ||= this.#known.get(name)?.whole !== digest;
  }

  /** For later walks, if there is room. */
  keep(): void {
    if (!this.#changed) return;
    if (stampOf(this.#tree.file) !== this.#stamp) {
      // Another walk over this tree, of other files perhaps, has ended while this one went on.
      const { id, entries } = recall(this.#tree);
      if (id === this.#tree.id) this.#known = entries;
    }
    const lines = [JSON.stringify(this.#tree.root), JSON.stringify(this.#tree.id)];
    for (const [name, entry] of this.#merged()) lines.push(lineOf(name, entry));
    keepLines(this.#tree.file, lines);
  }

  /** What was not met stays known, unless it is gone. */
  #merged(): ReadonlyMap<string, KnownEntry> {
    const merged = new Map<string, KnownEntry>();
    for (const [name, entry] of this.#known) {
      if (!this.#seen.has(name) && !this.#isGone(name)) merged.set(name, entry);
    }
    if (merged.size > MAX_NOT_MET) return this.#seen;
    for (const [name, entry] of this.#seen) {
      const known = this.#known.get(name);
      merged.set(name, entry.whole === undefined && known && isSame(entry, known) ? known : entry);
    }
    return merged;
  }

  /** Of what was not met: all that is somewhere in a directory that was walked was. */
  #isGone(name: string): boolean {
    for (let at = name; at !== ''; ) {
      at = parentOf(at);
      if (this.#walked.has(at)) return true;
    }
    return false;
  }

  #forgetWholes(directories: readonly string[]): void {
    const met = new Set<string>();
    for (const directory of directories) {
      for (let name = directory; !met.has(name); name = parentOf(name)) {
        met.add(name);
        this.#forgetWhole(name);
      }
    }
  }

  #forgetWhole(name: string): void {
    const { whole, ...entry } = this.#known.get(name) ?? {};
    if (whole !== undefined) this.#known.set(name, entry as KnownEntry);
  }
}

/** The root of the tree that a file is of; undefined if it is not there, or not of a tree. */
export async function keptRoot(file: string): Promise<string | undefined> {
  try {
    await using handle = await open(file);
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(MAX_ROOT_BYTES) });
    const [line = ''] = buffer.toString('utf8', 0, bytesRead).split('\n');
    const root: unknown = JSON.parse(line);
    return typeof root === 'string' ? root : undefined;
  } catch {
    return undefined;
  }
}

interface Recalled {
  readonly id: string | undefined;
  readonly entries: Map<string, KnownEntry>;
}

/** Nothing of a file that is not there, or not as it was written. */
function recall(tree: KeptTree): Recalled {
  try {
    return parse(readFileSync(tree.file, 'utf8'), tree.root);
  } catch {
    return { id: undefined, entries: new Map() };
  }
}

function parse(text: string, wanted: string): Recalled {
  const entries = new Map<string, KnownEntry>();
  const [root = '', id = '', ...lines] = text.split('\n');
  if (textOf(root) !== wanted) return { id: undefined, entries };
  for (const line of lines) {
    const end = line.lastIndexOf('" ');
    const [owner, size, digest = '', ...state] = line.slice(end + 2).split(' ');
    const common = { header: `${owner} ${size}`, digest };
    const [mark, whole] = state;
    const name = textOf(line.slice(0, end + 1));
    if (mark === '=') entries.set(name, { ...common, state: '', ...(whole && { whole }) });
    else entries.set(name, { ...common, state: state.join(' ') });
  }
  return { id: textOf(id), entries };
}

/** Another one whenever a file is there in place of another. */
function stampOf(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats ? `${stats.ino} ${stats.ctimeMs}` : '';
}

function lineOf(name: string, { header, digest, state, whole }: KnownEntry): string {
  const rest = whole === undefined ? state : `= ${whole}`;
  return `${JSON.stringify(name)} ${header} ${digest}${rest && ` ${rest}`}`;
}

/** Most names need no more than what is between the quotes. */
function textOf(quoted: string): string {
  return quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
}

function isSame(entry: KnownEntry, before: KnownEntry): boolean {
  return entry.digest === before.digest && entry.state === before.state && entry.header === before.header;
}

function childrenIn(names: Iterable<string>): Map<string, string[]> {
  const children = new Map<string, string[]>();
  for (const name of names) {
    if (name === '') continue;
    const parent = parentOf(name);
    const siblings = children.get(parent);
    if (siblings) siblings.push(name);
    else children.set(parent, [name]);
  }
  return children;
}

function parentOf(name: string): string {
  const slash = name.lastIndexOf('/');
  return slash < 0 ? '' : name.slice(0, slash);
}

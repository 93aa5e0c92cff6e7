import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { systemCode } from '#errors/errors.ts';

/** An entry of an archive as it is on the disk. */
export interface IndexedEntry {
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly size: number;
  /** Seconds and nanoseconds. */
  readonly mtime: string;
  /** Of a file: SHA-256 of its contents; of a link: where it leads; of a directory nothing. */
  readonly content: string;
}

/** By path; undefined: nothing is known of what is on the disk. */
export function readIndex(file: string): Map<string, IndexedEntry> | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const entries = new Map<string, IndexedEntry>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [path, entry] = JSON.parse(line) as [string, IndexedEntry?];
    if (entry) entries.set(path, entry);
    else forgetBelow(entries, path);
  }
  return entries;
}

export function writeIndex(file: string, entries: ReadonlyMap<string, IndexedEntry>): void {
  const lines = [...entries].map((line) => JSON.stringify(line));
  writeFileSync(`${file}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** A line that says that something, and all below it, is not there any more. */
export function removalLine(path: string): string {
  return `${JSON.stringify([path])}\n`;
}

/** Forgets a path and all below it. */
export function forgetBelow(entries: Map<string, IndexedEntry>, path: string): void {
  if (entries.get(path)?.type === 'directory') {
    for (const other of entries.keys()) if (other.startsWith(`${path}/`)) entries.delete(other);
  }
  entries.delete(path);
}

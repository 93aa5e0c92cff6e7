import { createHash } from 'node:crypto';
import { readFileSync, type Stats, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { keepLines } from './kept-lines.ts';

/** What is compared at most: beyond it only that something differs can be told. */
const MAX_FILES = 100_000;

/** One file of a tree that a digest was made of. */
export interface ManifestEntry {
  /** Mode, with the type, and owner. */
  readonly header: string;
  readonly size: string;
  /** Of header and contents. */
  readonly digest: string;
}

/** Takes down the files that a digest is made of, so that another digest can be explained later. */
export class ContentManifest {
  readonly #lines: string[] = [];
  #files = 0;

  /** `path` is relative to the tree's root; `digest` is of header and contents, in hexadecimal. */
  add(path: string, stats: Stats, digest: string): void {
    this.addKnown(path, { header: headerOf(stats), digest });
  }

  /** One that was not looked at again. */
  addKnown(path: string, { header, digest }: { readonly header: string; readonly digest: string }): void {
    if (++this.#files > MAX_FILES) this.#lines.length = 0;
    else this.#lines.push(`${header} ${digest.slice(-32)} ${JSON.stringify(path)}`);
  }

  /** Writes it down, unless it is there, if there is room. It is used now, either way. */
  save(file: string): void {
    if (this.#files <= MAX_FILES && !usedNow(file)) keepLines(file, this.#lines);
  }
}

/**
 * `mode:uid:gid size`. What a directory's size is differs from one file system to another; that of a link is of where
 * it leads.
 */
export function headerOf(stats: Stats): string {
  return `${stats.mode}:${stats.uid}:${stats.gid} ${stats.isDirectory() ? 0 : stats.size}`;
}

/** Whether it is there. */
function usedNow(file: string): boolean {
  const now = new Date();
  try {
    utimesSync(file, now, now);
    return true;
  } catch {
    return false;
  }
}

/** By path; undefined when it is not there any more. */
export function readManifest(file: string): Map<string, ManifestEntry> | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const entries = new Map<string, ManifestEntry>();
  for (const line of text.split('\n')) {
    const [, header, size, digest, path] = /^(\S*) (\d+) ([0-9a-f]+) (".*")$/.exec(line) ?? [];
    if (path !== undefined) entries.set(JSON.parse(path), { header: header!, size: size!, digest: digest! });
  }
  return entries;
}

/** Where a digest's manifest is. */
export function manifestPath(directory: string, digest: string): string {
  return join(directory, createHash('sha256').update(digest).digest('hex'));
}

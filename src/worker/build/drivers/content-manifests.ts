import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { manifestPath } from '../files/content-manifest.ts';
import type { FileChanges } from '../files/file-changes.ts';
import type { FilePool } from '../files/file-pool.ts';

const MAX_FILES = 2_000;
const MAX_BYTES = 256 * 1024 * 1024;
/** Looking through the directory is for once in a while. */
const TRIM_EVERY = 25;

/** What the files were that digests of contents were made of, for as long as there is room: those used last. */
export class ContentManifests {
  readonly #files: FilePool;
  readonly #directory: string;
  #made: Promise<unknown> | undefined;
  #uses = 0;

  /** `directory` is its own. */
  constructor(ports: { files: FilePool }, options: { directory: string }) {
    this.#files = ports.files;
    this.#directory = options.directory;
  }

  /** Where they are to be written. */
  async directory(): Promise<string> {
    this.#made ??= mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await this.#made;
    if (this.#uses++ % TRIM_EVERY === 0) await this.#trim();
    return this.#directory;
  }

  /** How what has one digest differs from what had another; undefined: that is not known any more. */
  changes(before: string, after: string): Promise<FileChanges | undefined> {
    const request = {
      before: manifestPath(this.#directory, before),
      after: manifestPath(this.#directory, after),
    };
    return this.#files.run('fileChanges', request, { signal: new AbortController().signal });
  }

  async #trim(): Promise<void> {
    const names = await readdir(this.#directory);
    const kept = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#directory, name);
        const stats = await stat(path).catch(() => undefined);
        return { path, bytes: stats?.size ?? 0, at: stats?.mtimeMs ?? 0 };
      }),
    );
    let bytes = 0;
    for (const [at, file] of kept.sort((a, b) => b.at - a.at).entries()) {
      bytes += file.bytes;
      if (at >= MAX_FILES || bytes > MAX_BYTES) await rm(file.path, { force: true });
    }
  }
}

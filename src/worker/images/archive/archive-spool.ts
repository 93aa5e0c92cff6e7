import { randomUUID } from 'node:crypto';
import type { ContentStore } from '#content/content-store.ts';
import { invalid, tooLarge } from '#errors/errors.ts';
import { type Digest, Digester } from '#oci/digest.ts';
import { readTar } from '#tar/reader.ts';
import { safePath, splitParent } from '#tar/safe-path.ts';

export interface SpooledFile {
  /** In the content store. */
  readonly location: string;
  readonly size: number;
  readonly digest: Digest;
}

/** Where in the content store. What is here and belongs to no layer is of a load that never ended. */
export const SPOOL = 'load';

const MAX_FILES = 20_000;
const MAX_JSON_BYTES = 8 * 1024 * 1024;
const MAX_LINKS = 16;

/**
 * The files of an image archive, put into the content store while the archive streams by: what says which file
 * is what comes last in it. Disposing drops those that were not kept.
 */
export class ArchiveSpool implements AsyncDisposable {
  readonly #content: ContentStore;
  readonly #files = new Map<string, SpooledFile>();
  readonly #links = new Map<string, string>();
  readonly #kept = new Set<string>();

  constructor(content: ContentStore) {
    this.#content = content;
  }

  /** Throws as `readTar` does. */
  async read(archive: AsyncIterable<Uint8Array>): Promise<void> {
    const prefix = `${SPOOL}/${randomUUID()}`;
    for await (const { entry, body } of readTar(archive, { maxEntries: MAX_FILES })) {
      const path = safePath(entry.path);
      if (entry.type === 'file') {
        this.#files.set(path, await this.#store(`${prefix}/${this.#files.size}`, body));
      } else if (entry.type === 'symlink') {
        this.#links.set(path, safePath(`${splitParent(path)[0]}/${entry.linkPath}`));
      } else if (entry.type === 'hardlink') {
        this.#links.set(path, safePath(entry.linkPath ?? ''));
      }
    }
  }

  has(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  /** Follows the links that older archives have in the place of repeated layers. Throws `invalid`. */
  file(path: string): SpooledFile {
    const file = this.#find(path);
    if (!file) throw invalid(`invalid archive: ${JSON.stringify(path.slice(0, 200))} is missing`);
    return file;
  }

  /** Throws `invalid`, `too-large`. */
  async bytes(path: string): Promise<Buffer> {
    const file = this.file(path);
    if (file.size > MAX_JSON_BYTES) throw tooLarge(`invalid archive: ${path} is too large`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of await this.#content.open(file.location)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** Throws `invalid` when it is not JSON. */
  async json(path: string): Promise<unknown> {
    try {
      return JSON.parse((await this.bytes(path)).toString('utf8'));
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      throw invalid(`invalid archive: ${path} is not JSON`, { cause });
    }
  }

  open(file: SpooledFile): Promise<AsyncIterable<Uint8Array>> {
    return this.#content.open(file.location);
  }

  /** Leaves a file in the content store, in the care of the caller. */
  keep(file: SpooledFile): void {
    this.#kept.add(file.location);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { location } of this.#files.values()) {
      if (!this.#kept.has(location)) await this.#content.delete(location);
    }
  }

  async #store(location: string, body: AsyncIterable<Uint8Array>): Promise<SpooledFile> {
    await using writer = await this.#content.writer(location);
    const digester = new Digester();
    let size = 0;
    try {
      for await (const chunk of body) {
        digester.update(chunk);
        size += chunk.length;
        await writer.write(chunk);
      }
      await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return { location, size, digest: digester.digest() };
  }

  #find(path: string): SpooledFile | undefined {
    let current = safePath(path);
    for (let i = 0; i < MAX_LINKS; i++) {
      const target = this.#links.get(current);
      if (target === undefined) return this.#files.get(current);
      current = target;
    }
    return undefined;
  }
}

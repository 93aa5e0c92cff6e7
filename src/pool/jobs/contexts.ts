import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ContentStore } from '#content/content-store.ts';
import { invalid, notFound, tooLarge } from '#errors/errors.ts';
import type { ContextsRepository } from './contexts-repository.ts';

/** Archives that clients send for builds: kept while builds use them, and some time after that. */
export class Contexts {
  readonly #rows: ContextsRepository;
  readonly #content: ContentStore;
  readonly #maxBytes: number;

  constructor(
    ports: { rows: ContextsRepository; content: ContentStore },
    { maxBytes }: { maxBytes: number },
  ) {
    this.#rows = ports.rows;
    this.#content = ports.content;
    this.#maxBytes = maxBytes;
  }

  /** Keeps what is sent. Throws `too-large`, `invalid` when there is nothing; then nothing is kept. */
  async add(tenant: string, source: AsyncIterable<Uint8Array>): Promise<{ digest: string; size: number }> {
    const location = `contexts/${randomUUID()}`;
    const writer = await this.#content.writer(location);
    const hash = createHash('sha256');
    let size = 0;
    try {
      for await (const bytes of source) {
        size += bytes.length;
        if (size > this.#maxBytes) throw tooLarge(`a context may have ${this.#maxBytes} bytes`);
        hash.update(bytes);
        await writer.write(bytes);
      }
      if (size === 0) throw invalid('there is no archive in the body');
      await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
    const digest = `sha256:${hash.digest('hex')}`;
    const kept = await this.#rows.add({ digest, tenant, size, location });
    if (kept !== location) await this.#content.delete(location);
    return { digest, size };
  }

  /** Throws `not-found`. */
  async require(tenant: string, digest: string): Promise<void> {
    if (!(await this.#rows.find(tenant, digest))) throw missing(digest);
  }

  /** From a byte on. Throws `not-found`. */
  async open(tenant: string, digest: string, start: number): Promise<AsyncIterable<Uint8Array>> {
    const context = await this.#rows.find(tenant, digest);
    if (!context) throw missing(digest);
    if (start >= context.size) return Readable.from([]);
    return await this.#content.open(context.location, { start, end: context.size - 1 });
  }

  async removeUnused(moment: number): Promise<void> {
    for (const location of await this.#rows.removeUnused(moment)) await this.#content.delete(location);
  }
}

function missing(digest: string) {
  return notFound(`no such context: ${digest}`);
}

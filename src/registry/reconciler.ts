import type { ContentStore } from '#content/content-store.ts';
import type { BlobsRepository } from './blobs/blobs-repository.ts';
import type { UploadsRepository } from './uploads/uploads-repository.ts';

const BATCH = 500;

/** Brings content and metadata together again after a crash, and lets go of uploads that nobody continued. */
export class Reconciler {
  readonly #blobs: BlobsRepository;
  readonly #uploads: UploadsRepository;
  readonly #content: ContentStore;

  constructor(ports: { blobs: BlobsRepository; uploads: UploadsRepository; content: ContentStore }) {
    this.#blobs = ports.blobs;
    this.#uploads = ports.uploads;
    this.#content = ports.content;
  }

  /**
   * Removes uploads that did not grow since `idleSince`, and bytes that belong to no upload and did not grow
   * since `strayBefore`. Returns how many it removed.
   */
  async expireUploads(limits: { idleSince: Date; strayBefore: Date }): Promise<number> {
    let removed = 0;
    const growing = new Set<string>();
    for await (const batch of batches(this.#content.ingests())) {
      const owners = await this.#uploads.byLocation(batch.map((ingest) => ingest.location));
      for (const { location, modifiedAt } of batch) {
        const upload = owners.get(location);
        if (modifiedAt >= (upload === undefined ? limits.strayBefore : limits.idleSince)) {
          growing.add(location);
          continue;
        }
        // The row goes first: bytes without one are found again, a row without bytes would answer clients.
        if (upload !== undefined && !(await this.#uploads.removeIdle(upload))) {
          growing.add(location);
          continue;
        }
        // Only the write: a request to S3 whose answer got lost leaves one beside content that was committed.
        await (await this.#content.writer(location)).abort();
        removed++;
      }
    }
    return removed + (await this.#expireRows(limits.idleSince, growing));
  }

  /** Deletes content that no blob and no upload owns: its push was cut off between the commit and the record. */
  async deleteStrayContent(options: { before: Date; signal?: AbortSignal }): Promise<number> {
    let deleted = 0;
    for await (const batch of batches(this.#content.walk())) {
      options.signal?.throwIfAborted();
      const old = batch.filter(({ modifiedAt }) => modifiedAt < options.before);
      if (old.length === 0) continue;
      const owned = await this.#blobs.ownedLocations(old.map(({ location }) => location));
      for (const { location } of old) {
        if (owned.has(location)) continue;
        await this.#content.delete(location);
        deleted++;
      }
    }
    return deleted;
  }

  /** Uploads that began before `idleSince` and are not in `growing`. */
  async #expireRows(idleSince: Date, growing: ReadonlySet<string>): Promise<number> {
    let removed = 0;
    for (let last = ''; ; ) {
      const page = await this.#uploads.startedBefore(idleSince, BATCH, last);
      for (const { id, location } of page) {
        if (growing.has(location)) continue;
        if (await this.#uploads.removeIdle(id)) removed++;
      }
      if (page.length < BATCH) return removed;
      last = page.at(-1)!.id;
    }
  }
}

async function* batches<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

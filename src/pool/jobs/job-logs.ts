import { randomUUID } from 'node:crypto';
import type { ContentStore } from '#content/content-store.ts';
import type { Claim, Claimant } from './job.ts';
import type { JobLogRepository, LogChunk } from './job-log-repository.ts';

/** What is written at once and larger goes to the content store; the database keeps the rest until the job's end. */
const LARGE = 64 * 1024;
/** What pieces of it become then. */
const OBJECT = 4 * 1024 * 1024;
const PAGE = 64;

/** What jobs have written: the newest bytes in the database, the others in the content store. */
export class JobLogs {
  readonly #rows: JobLogRepository;
  readonly #content: ContentStore;

  constructor(ports: { rows: JobLogRepository; content: ContentStore }) {
    this.#rows = ports.rows;
    this.#content = ports.content;
  }

  size(id: string): Promise<number> {
    return this.#rows.size(id);
  }

  /** Adds bytes at `start`, the log's end, in the name of a claim; false when that is no longer good. */
  async append(claim: Claim, claimant: Claimant, start: number, bytes: Uint8Array): Promise<boolean> {
    const size = bytes.length;
    if (size === 0) return true;
    if (size < LARGE) {
      return await this.#rows.append(claim, claimant, { start, size, data: bytes, location: null });
    }
    // Whoever does not hear that it was added sends it again: that must not touch what the first time has left.
    const location = `logs/${claim.id}/${claim.attempt}/${start}-${randomUUID()}`;
    await this.#store(location, [bytes]);
    const added = await this.#rows.append(claim, claimant, { start, size, data: null, location });
    if (!added) await this.#content.delete(location);
    return added;
  }

  /** What is there from the byte `from` on, in order. */
  async *read(id: string, from: number): AsyncGenerator<Uint8Array> {
    for (let at = from; ; ) {
      const chunks = await this.#rows.chunks(id, at, PAGE);
      for (const chunk of chunks) {
        let left = at - chunk.start;
        for await (const bytes of this.#bytesOf(chunk)) {
          if (left < bytes.length) yield left > 0 ? bytes.subarray(left) : bytes;
          left = Math.max(0, left - bytes.length);
        }
        at = chunk.start + chunk.size;
      }
      if (chunks.length < PAGE) return;
    }
  }

  /** Once a job is over: its small pieces become objects of the content store. */
  async settle(id: string): Promise<void> {
    let run: LogChunk[] = [];
    let size = 0;
    const store = async () => {
      const pieces = run;
      run = [];
      size = 0;
      if (pieces.length === 0) return;
      const location = `logs/${id}/all/${pieces[0]!.start}-${randomUUID()}`;
      await this.#store(
        location,
        pieces.map((piece) => piece.data!),
      );
      if (!(await this.#rows.merge(id, pieces, location))) await this.#content.delete(location);
    };
    for (let at = 0; ; ) {
      const chunks = await this.#rows.chunks(id, at, PAGE);
      for (const chunk of chunks) {
        at = chunk.start + chunk.size;
        if (chunk.data === null || size + chunk.size > OBJECT) await store();
        if (chunk.data === null) continue;
        run.push(chunk);
        size += chunk.size;
      }
      if (chunks.length < PAGE) break;
    }
    await store();
  }

  /** What forgotten jobs had, and what was stored for them by processes that were killed before they could say so. */
  async forget(locations: readonly string[]): Promise<void> {
    for (const location of locations) await this.#content.delete(location);
    const folders = new Set(locations.map((location) => location.split('/').slice(0, 2).join('/')));
    for (const folder of folders) {
      for await (const { location } of this.#content.walk(folder)) await this.#content.delete(location);
    }
  }

  async #store(location: string, pieces: readonly Uint8Array[]): Promise<void> {
    await using writer = await this.#content.writer(location);
    try {
      for (const piece of pieces) await writer.write(piece);
      await writer.commit();
    } catch (error) {
      // Nobody comes back to this location.
      await this.#content.delete(location).catch(() => undefined);
      throw error;
    }
  }

  async *#bytesOf({ data, location }: LogChunk): AsyncGenerator<Uint8Array> {
    if (data !== null) yield data;
    else yield* await this.#content.open(location!);
  }
}

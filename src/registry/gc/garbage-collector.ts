import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ContentStore } from '#content/content-store.ts';
import type { Metrics } from '#observability/metrics.ts';
import type { RetentionRule } from '../retention/retention-rule.ts';
import type { BlobReviewsRepository } from './blob-reviews-repository.ts';
import type { ContentDeletionsRepository } from './content-deletions-repository.ts';
import type { LinkReviewsRepository } from './link-reviews-repository.ts';
import type { ManifestReviewsRepository } from './manifest-reviews-repository.ts';
import type { ReviewResult } from './review-key.ts';

/** How many candidates one transaction looks at. */
const BATCH = 100;
/** How many contents are deleted at once. */
const DELETIONS = 8;

export interface GarbageCollectorPorts {
  readonly manifests: ManifestReviewsRepository;
  readonly links: LinkReviewsRepository;
  readonly blobs: BlobReviewsRepository;
  readonly deletions: ContentDeletionsRepository;
  readonly content: ContentStore;
  /** The rules for untagged manifests that hold at the moment. */
  readonly rules: () => Promise<readonly RetentionRule[]>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** What one run deleted. */
export interface Collected {
  readonly manifests: number;
  readonly links: number;
  readonly blobs: number;
  readonly contents: number;
}

/**
 * Deletes what nothing needs any more, while everybody works. Candidates come from queues that triggers fill; a look
 * at one holds only the rows that it is about, for some milliseconds, and leaves out what somebody else holds. Any
 * number of processes may collect at once, and be killed at any moment: each step is a transaction, or is done again.
 */
export class GarbageCollector {
  readonly #ports: GarbageCollectorPorts;
  readonly #collected;

  constructor(ports: GarbageCollectorPorts) {
    this.#ports = ports;
    this.#collected = ports.metrics.counter({
      name: 'slipway_gc_collected_total',
      help: 'What garbage collection deleted, by kind.',
      labels: ['kind'],
    });
  }

  /** Works off everything that is due. `contentDelay`, in milliseconds, is for readers who know where content is. */
  async run(options: { contentDelay: number; signal?: AbortSignal }): Promise<Collected> {
    const { contentDelay, signal } = options;
    const { manifests, links, blobs } = this.#ports;
    const rules = await this.#ports.rules();
    // In this order: each makes work for the next.
    const collected = {
      manifests: await this.#all('manifest', () => manifests.review(BATCH, rules), signal),
      links: await this.#all('link', () => links.review(BATCH), signal),
      blobs: await this.#all('blob', () => blobs.review(BATCH, contentDelay), signal),
      contents: await this.#all('content', () => this.#deleteContents(), signal),
    };
    if (Object.values(collected).some((count) => count > 0)) {
      this.#ports.logger.info({ collected }, 'collected garbage');
    }
    return collected;
  }

  /** Repeats a step until nothing is due, leaving as much time to others as it takes itself. */
  async #all(kind: string, step: () => Promise<ReviewResult>, signal?: AbortSignal): Promise<number> {
    let deleted = 0;
    for (;;) {
      signal?.throwIfAborted();
      const began = performance.now();
      const result = await step();
      deleted += result.deleted;
      if (result.deleted > 0) this.#collected.add({ kind }, result.deleted);
      if (result.reviewed === 0) return deleted;
      await sleep(performance.now() - began, undefined, signal ? { signal } : {});
    }
  }

  async #deleteContents(): Promise<ReviewResult> {
    const { deletions, content, logger } = this.#ports;
    const taken = await deletions.take(BATCH);
    const [done, failed]: [string[], string[]] = [[], []];
    const left = taken.values();
    const worker = async () => {
      for (const location of left) {
        try {
          await content.delete(location);
          done.push(location);
        } catch (error) {
          failed.push(location);
          logger.warn({ err: error, location }, 'content could not be deleted; it is tried again later');
        }
      }
    };
    await Promise.all(Array.from({ length: DELETIONS }, worker));
    await deletions.done(done);
    await deletions.failed(failed);
    return { reviewed: taken.length, deleted: done.length };
  }
}

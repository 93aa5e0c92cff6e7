import { isKind } from '#errors/errors.ts';
import { SYSTEM } from '../events/event.ts';
import type { Manifests } from '../manifests/manifests.ts';
import type { MirrorRepository } from './mirror-repository.ts';

const BATCH = 100;

/** Deletes manifests from upstream that nobody pulled for long. Garbage collection does the rest. */
export class MirrorExpiry {
  readonly #manifests: Manifests;
  readonly #mirrored: MirrorRepository;
  readonly #after: number;

  /** `after`: how many milliseconds without a pull. */
  constructor(ports: { manifests: Manifests; mirrored: MirrorRepository }, options: { after: number }) {
    this.#manifests = ports.manifests;
    this.#mirrored = ports.mirrored;
    this.#after = options.after;
  }

  /** Returns how many it deleted. */
  async run(signal: AbortSignal): Promise<number> {
    const before = new Date(Date.now() - this.#after);
    for (let deleted = 0; ; ) {
      const unused = await this.#mirrored.unused(before, BATCH);
      let failed = 0;
      for (const { repository, digest } of unused) {
        if (signal.aborted) return deleted;
        try {
          await this.#manifests.delete(repository, { digest }, SYSTEM);
          deleted++;
        } catch (error) {
          // An immutable tag keeps it, or it is gone.
          if (!isKind(error, 'conflict') && !isKind(error, 'not-found')) throw error;
          failed++;
        }
      }
      if (unused.length < BATCH || failed > 0) return deleted;
    }
  }
}

import { z } from 'zod';
import type { Membership } from './membership.ts';

const answerShape = z.object({ state: z.enum(['here', 'coming', 'unknown']) });

/** Images of other workers of the pool, for builds that stand on them. Without a pool there are none. */
export class ImageLender {
  #membership: Membership | undefined;

  join(membership: Membership): void {
    this.#membership = membership;
  }

  /**
   * Has what a name means in the pool be here under this name; false when the pool knows no such image, or does not
   * answer: then what is here counts.
   */
  async bring(reference: string, signal: AbortSignal): Promise<boolean> {
    const membership = this.#membership;
    if (!membership?.claimant) return false;
    try {
      for (;;) {
        const { state } = answerShape.parse(await membership.ask('POST', '/image', { reference }));
        if (state !== 'coming') return state === 'here';
        signal.throwIfAborted();
      }
    } catch {
      return false;
    }
  }
}

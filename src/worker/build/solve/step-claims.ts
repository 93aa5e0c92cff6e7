import type { Sharing } from '../cache/cache-store.ts';

/**
 * PORT: agrees with the other workers that share a cache on who does a step. It only saves work: where it cannot be asked,
 * or somebody does not keep to it, a step is done more than once.
 */
export interface StepClaims {
  /**
   * Claims a step by its cache key, or answers who has it; at once. undefined: there is nobody to ask. Throws `canceled`
   * when `signal` aborts.
   */
  take(key: string, options: { signal: AbortSignal }): Promise<StepClaim | ClaimedElsewhere | undefined>;
}

/** A step that is this worker's to do. One of the two calls ends it. */
export interface StepClaim {
  readonly isOwn: true;
  /** Somebody had it before, and may have shared it since it was looked for. */
  readonly mayBeDone: boolean;
  /** It is done; the claim lasts until others find it. */
  done(sharing: Sharing | undefined): void;
  /** It is not done. Who waits does it: one of them after `left`, each of them after `failed`. */
  undone(why: 'left' | 'failed'): void;
}

/** A step that another worker does, or has done and is bringing to where it is found. */
export interface ClaimedElsewhere {
  readonly isOwn: false;
  /** The worker's name. */
  readonly worker: string;
  /**
   * Waits until there is something to be found, or nothing to be waited for: after `free` another one may claim it, after
   * `alone` whoever does not find it does it without a claim. Throws `canceled` when `signal` aborts.
   */
  wait(options: { signal: AbortSignal }): Promise<'free' | 'alone'>;
}

import type { Connect } from '../client/connection.ts';

export interface PeerWish {
  /** `linux/arm64`: what the worker's own processor has to run. */
  readonly platform: string;
  /** Who asks with the same gets the same worker, as long as that is there: its caches are warm. */
  readonly affinity: string;
  /** Names of those that are not wanted. */
  readonly without: readonly string[];
}

/** Another worker of the pool. */
export interface PeerWorker {
  readonly name: string;
  /** To its engine's `/grpc` and `/session`. Throws `unavailable`. */
  readonly connect: Connect;
  /** Resolves when the pool has lost it, or `signal` aborts. */
  lost(signal: AbortSignal): Promise<void>;
}

/** PORT: the other workers of this one's pool. */
export interface PeerWorkers {
  /** undefined: there is none. Throws `unavailable` when the pool does not answer. */
  find(wish: PeerWish, options: { signal: AbortSignal }): Promise<PeerWorker | undefined>;
}

import type { RecordedEvent } from '../events/recorded-event.ts';
import type { Delivery } from './outbox-repository.ts';

/** What an attempt came to, with what to tell people of it. */
export type Outcome =
  | { readonly kind: 'delivered'; readonly result: string }
  /** To be tried again, not before `retryAfter` milliseconds. */
  | { readonly kind: 'failed'; readonly result: string; readonly retryAfter?: number | undefined }
  /** Trying again is of no use. */
  | { readonly kind: 'refused'; readonly result: string };

/** How often and when to try. */
export interface RetryPlan {
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubled for each further one. */
  readonly firstDelay: number;
  readonly maxDelay: number;
}

/** Who does something about events. Each event that it wants is delivered at least once, and in no certain order. */
export interface Consumer {
  /** Names its cursor and deliveries. */
  readonly name: string;
  readonly retry: RetryPlan;
  /** How many deliveries run at once. */
  readonly concurrency: number;

  wants(event: RecordedEvent): boolean;

  /** Makes one attempt. What it throws counts as `failed`. */
  deliver(delivery: Delivery, options: { signal: AbortSignal }): Promise<Outcome>;
}

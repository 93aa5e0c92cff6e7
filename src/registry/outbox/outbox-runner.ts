import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { messageOf } from '#errors/errors.ts';
import type { EventFeed } from '../events/event-feed.ts';
import type { Consumer, Outcome } from './consumer.ts';
import { FanOut } from './fan-out.ts';
import type { Delivery, OutboxRepository } from './outbox-repository.ts';

const POLL_INTERVAL = 500;
/** A claim lives this long without being renewed: after a kill -9, a delivery is tried again that much later. */
const CLAIM = 15_000;
const RENEW_INTERVAL = 5_000;
const PRUNE_INTERVAL = 10 * 60_000;

interface Ports {
  readonly outbox: OutboxRepository;
  readonly feed: EventFeed;
  /** Those that there are now; asked before every round. */
  readonly consumers: () => Promise<readonly Consumer[]>;
  readonly logger: Logger;
}

/**
 * Reads new events and delivers them to their consumers, each at its own pace: one that does not answer holds up
 * nobody else. Any number of processes may run one over the same database.
 */
export class OutboxRunner {
  readonly #outbox: OutboxRepository;
  readonly #feed: EventFeed;
  readonly #consumers: Ports['consumers'];
  readonly #logger: Logger;
  readonly #fanOut: FanOut;
  readonly #keep: number;
  readonly #running = new Map<string, Set<Promise<void>>>();
  /** Where the feed ended, and how far each consumer was brought, when it was last looked at. */
  readonly #seen = new Map<string, string>();

  /** `keep`: how many milliseconds settled deliveries can be looked at. */
  constructor(ports: Ports, options: { keep: number }) {
    this.#outbox = ports.outbox;
    this.#feed = ports.feed;
    this.#consumers = ports.consumers;
    this.#logger = ports.logger;
    this.#fanOut = new FanOut(ports);
    this.#keep = options.keep;
  }

  /** Resolves some time after the signal aborts, when nothing is under way any more. */
  async run(signal: AbortSignal): Promise<void> {
    let pruned = 0;
    while (!signal.aborted) {
      try {
        await this.#round(signal);
        if (Date.now() - pruned > PRUNE_INTERVAL) {
          await this.#outbox.prune(new Date(Date.now() - this.#keep));
          pruned = Date.now();
        }
      } catch (error) {
        if (!signal.aborted) this.#logger.error({ err: error }, 'delivering events failed');
      }
      await sleep(POLL_INTERVAL, undefined, { signal }).catch(() => {});
    }
    await Promise.all([...this.#running.values()].flatMap((running) => [...running]));
  }

  async #round(signal: AbortSignal): Promise<void> {
    const consumers = await this.#consumers();
    if (consumers.length === 0) return;
    const head = await this.#feed.head();
    for (const consumer of consumers) {
      if (signal.aborted) return;
      if (this.#seen.get(consumer.name) !== head) {
        await this.#fanOut.catchUp(consumer, signal);
        this.#seen.set(consumer.name, head);
      }
      await this.#startDue(consumer, signal);
    }
  }

  async #startDue(consumer: Consumer, signal: AbortSignal): Promise<void> {
    const running = this.#running.get(consumer.name) ?? new Set();
    this.#running.set(consumer.name, running);
    const free = consumer.concurrency - running.size;
    if (signal.aborted || free <= 0 || !(await this.#outbox.hasDue(consumer.name))) return;
    for (const delivery of await this.#outbox.claim(consumer.name, free, Date.now() + CLAIM)) {
      const attempt = this.#attempt(consumer, delivery, signal)
        .catch((error: unknown) =>
          this.#logger.error({ err: error, consumer: consumer.name }, 'a delivery was lost sight of'),
        )
        .finally(() => running.delete(attempt))
        // One that ended makes room at once for the next one.
        .then(() => (running.size <= consumer.concurrency / 2 ? this.#startDue(consumer, signal) : undefined))
        .catch(() => undefined);
      running.add(attempt);
    }
  }

  async #attempt(consumer: Consumer, delivery: Delivery, stopping: AbortSignal): Promise<void> {
    const lost = new AbortController();
    const renewal = setInterval(() => {
      this.#outbox.renew(delivery, Date.now() + CLAIM).then(
        (ours) => ours || lost.abort(),
        (error: unknown) => this.#logger.warn({ err: error }, 'renewing a claim failed'),
      );
    }, RENEW_INTERVAL);
    const signal = AbortSignal.any([stopping, lost.signal]);
    let outcome: Outcome;
    try {
      outcome = await consumer.deliver(delivery, { signal });
    } catch (error) {
      outcome = { kind: 'failed', result: messageOf(error) };
    } finally {
      clearInterval(renewal);
    }
    if (lost.signal.aborted) return;
    await this.#settle(consumer, delivery, outcome);
  }

  async #settle(consumer: Consumer, delivery: Delivery, outcome: Outcome): Promise<void> {
    const { result } = outcome;
    if (outcome.kind === 'delivered') {
      await this.#outbox.settle(delivery, { state: 'delivered', result });
      return;
    }
    const about = { consumer: consumer.name, delivery: delivery.id, attempts: delivery.attempts, result };
    if (outcome.kind === 'refused' || delivery.attempts >= consumer.retry.attempts) {
      this.#logger.warn(about, 'gave up a delivery');
      await this.#outbox.settle(delivery, { state: 'dead', result });
      return;
    }
    this.#logger.info(about, 'a delivery failed and will be tried again');
    const dueAt = Date.now() + retryDelay(consumer, delivery.attempts, outcome.retryAfter);
    await this.#outbox.settle(delivery, { state: 'pending', dueAt, result });
  }
}

/** Spread by a fifth, so that what failed together is not tried again together. */
function retryDelay({ retry }: Consumer, attempts: number, asked = 0): number {
  const usual = Math.min(retry.firstDelay * 2 ** (attempts - 1), retry.maxDelay);
  return Math.max(usual * (0.9 + Math.random() * 0.2), asked);
}

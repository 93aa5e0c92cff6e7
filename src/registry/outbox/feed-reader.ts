import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { EventFeed } from '../events/event-feed.ts';
import type { RecordedEvent } from '../events/recorded-event.ts';
import type { OutboxRepository } from './outbox-repository.ts';

const POLL_INTERVAL = 1_000;
/** How many events are read at once. */
const BATCH = 200;

/**
 * Reads all events from the first one on, in order, and remembers how far it got. For work that does no harm when it is
 * done twice: events whose reader did not end are read again, and two processes may read the same ones.
 */
export class FeedReader {
  readonly #outbox: OutboxRepository;
  readonly #feed: EventFeed;
  readonly #logger: Logger;
  readonly #name: string;

  constructor(ports: { outbox: OutboxRepository; feed: EventFeed; logger: Logger }, name: string) {
    this.#outbox = ports.outbox;
    this.#feed = ports.feed;
    this.#logger = ports.logger;
    this.#name = name;
  }

  /** Hands events to `read` as they come. Resolves some time after the signal aborts. */
  async run(read: (events: RecordedEvent[]) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const more = await this.step(read).catch((error: unknown) => {
        if (!signal.aborted)
          this.#logger.error({ err: error, consumer: this.#name }, 'reading events failed');
        return false;
      });
      if (!more) await sleep(POLL_INTERVAL, undefined, { signal }).catch(() => {});
    }
  }

  /** Reads some events; false when there were none. */
  async step(read: (events: RecordedEvent[]) => Promise<void>): Promise<boolean> {
    const from = await this.#outbox.cursorOf(this.#name);
    if (from === undefined) {
      await this.#outbox.subscribe(this.#name, '');
      return true;
    }
    const { events, cursor } = await this.#feed.after(from, BATCH);
    if (cursor === from) return false;
    await read(events);
    await this.#outbox.advance(this.#name, { from, to: cursor, events: [] });
    return true;
  }
}

import type { EventFeed } from '../events/event-feed.ts';
import type { Consumer } from './consumer.ts';
import type { OutboxRepository } from './outbox-repository.ts';

/** How many events are read at once. */
const BATCH = 500;

/** Puts down what each consumer has to do about new events. */
export class FanOut {
  readonly #outbox: OutboxRepository;
  readonly #feed: EventFeed;

  constructor(ports: { outbox: OutboxRepository; feed: EventFeed }) {
    this.#outbox = ports.outbox;
    this.#feed = ports.feed;
  }

  /** Brings a consumer's cursor to the end of the feed. One that is not known yet hears of what comes from now on. */
  async catchUp(consumer: Consumer, signal: AbortSignal): Promise<void> {
    let from = await this.#outbox.cursorOf(consumer.name);
    if (from === undefined) {
      await this.#outbox.subscribe(consumer.name, await this.#feed.head());
      return;
    }
    while (!signal.aborted) {
      const { events, cursor } = await this.#feed.after(from, BATCH);
      if (cursor === from) return;
      const wanted = events.filter((event) => consumer.wants(event));
      if (!(await this.#outbox.advance(consumer.name, { from, to: cursor, events: wanted }))) return;
      from = cursor;
    }
  }
}

import { settledEvents } from '#database/registry/event-order.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { EventFeed } from './event-feed.ts';
import { type RecordedEvent, toRecordedEvent } from './recorded-event.ts';

/** Reads the `events` table by id, as far as no smaller one can still appear. */
export class EventFeedRepository implements EventFeed {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async head(): Promise<string> {
    // One that is not settled may still come: the feed begins before it, and may repeat what is behind it.
    const settled = await settledEvents(this.#db);
    const row = await this.#db
      .selectFrom('events')
      .select('id')
      .where('id', '<', settled)
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst();
    return String(row?.id ?? '');
  }

  async after(cursor: string, limit: number): Promise<{ events: RecordedEvent[]; cursor: string }> {
    const settled = await settledEvents(this.#db);
    const rows = await this.#db
      .selectFrom('events')
      .selectAll()
      .where('id', '>', Number(cursor || '0'))
      .where('id', '<', settled)
      .orderBy('id')
      .limit(limit)
      .execute();
    const events = rows.map(toRecordedEvent);
    return { events, cursor: events.length > 0 ? String(events.at(-1)!.id) : cursor };
  }
}

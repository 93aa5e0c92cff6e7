import type { RegistryDatabase } from '#database/registry/open.ts';
import type { EventFeed, RecordedEvent } from './event-feed.ts';

/** Reads the `events` table by id. */
export class EventFeedRepository implements EventFeed {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async head(): Promise<string> {
    const row = await this.#db
      .selectFrom('events')
      .select('id')
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst();
    return String(row?.id ?? '');
  }

  async after(cursor: string, limit: number): Promise<{ events: RecordedEvent[]; cursor: string }> {
    const rows = await this.#db
      .selectFrom('events')
      .selectAll()
      .where('id', '>', Number(cursor || '0'))
      .orderBy('id')
      .limit(limit)
      .execute();
    const events = rows.map(({ user_agent, request_id, media_type, detail, ...row }) => ({
      ...row,
      userAgent: user_agent,
      requestId: request_id,
      mediaType: media_type,
      detail: detail === null ? null : JSON.parse(detail),
    }));
    return { events, cursor: events.length > 0 ? String(events.at(-1)!.id) : cursor };
  }
}

import type { RegistryDatabase } from '#database/registry/open.ts';
import { type RecordedEvent, toRecordedEvent } from './recorded-event.ts';

/** Others have their turn between as many. */
const PRUNE_BATCH = 1000;

/** What an audit asks for; everything that is given has to be so. */
export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly repository?: string | undefined;
  readonly action?: string | undefined;
  readonly outcome?: 'done' | 'denied' | undefined;
  /** Milliseconds since 1970, inclusive. */
  readonly since?: number | undefined;
  /** Milliseconds since 1970, exclusive. */
  readonly until?: number | undefined;
}

/** Where a page ended. */
export type AuditPosition = readonly [at: number, id: number];

/** The events as an audit reads them. */
export class AuditRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Up to `limit` entries, the newest first, from `after` on. */
  async list(filter: AuditFilter, limit: number, after?: AuditPosition): Promise<RecordedEvent[]> {
    let query = this.#db.selectFrom('events').selectAll();
    if (filter.actor !== undefined) query = query.where('actor', '=', filter.actor);
    if (filter.repository !== undefined) query = query.where('repository', '=', filter.repository);
    if (filter.action !== undefined) query = query.where('action', '=', filter.action);
    if (filter.outcome !== undefined) query = query.where('outcome', '=', filter.outcome);
    if (filter.since !== undefined) query = query.where('at', '>=', filter.since);
    if (filter.until !== undefined) query = query.where('at', '<', filter.until);
    if (after) query = query.where((eb) => eb(eb.refTuple('at', 'id'), '<', eb.tuple(after[0], after[1])));
    const rows = await query.orderBy('at', 'desc').orderBy('id', 'desc').limit(limit).execute();
    return rows.map(toRecordedEvent);
  }

  /** Removes what is older than `before` (milliseconds since 1970), some at a time; how many entries that were. */
  async prune(before: number, signal: AbortSignal): Promise<number> {
    for (let removed = 0; ; ) {
      const result = await this.#db
        .deleteFrom('events')
        .where('id', 'in', (from) =>
          from.selectFrom('events').select('id').where('at', '<', before).orderBy('at').limit(PRUNE_BATCH),
        )
        .executeTakeFirst();
      const count = Number(result.numDeletedRows);
      removed += count;
      if (count < PRUNE_BATCH || signal.aborted) return removed;
    }
  }
}

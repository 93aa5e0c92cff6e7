import type { Insertable } from 'kysely';
import { statement } from '#database/prepared.ts';
import type { EventsTable } from '#database/registry/events-schema.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Actor, NewEvent } from './event.ts';

/** How many rows one statement takes. */
const BATCH = 500;

type EventRow = Required<Omit<Insertable<EventsTable>, 'id'>>;

const COLUMNS = [
  'at',
  'action',
  'outcome',
  'actor',
  'address',
  'user_agent',
  'request_id',
  'repository',
  'digest',
  'tag',
  'media_type',
  'size',
  'detail',
] as const satisfies readonly (keyof EventRow)[];

/** Most writes have one event: its statement is made once. */
const insertOne = statement<RegistryDatabase, EventRow>((db, parameter) =>
  db
    .insertInto('events')
    .values(Object.fromEntries(COLUMNS.map((column) => [column, parameter(column)])) as unknown as EventRow),
);

/** Records events. In the transaction of the write that they tell of, so that neither is without the other. */
export async function recordEvents(
  trx: RegistryDatabase,
  actor: Actor,
  events: readonly NewEvent[],
): Promise<void> {
  const at = Date.now();
  for (let start = 0; start < events.length; start += BATCH) {
    const rows = events.slice(start, start + BATCH).map((event) => ({
      at,
      action: event.action,
      outcome: event.outcome ?? ('done' as const),
      actor: actor.principal,
      address: actor.address ?? null,
      user_agent: actor.userAgent ?? null,
      request_id: actor.requestId ?? null,
      repository: event.repository ?? null,
      digest: event.digest ?? null,
      tag: event.tag ?? null,
      media_type: event.mediaType ?? null,
      size: event.size ?? null,
      detail: event.detail ? JSON.stringify(event.detail) : null,
    }));
    if (rows.length === 1) await insertOne(trx, rows[0]!);
    else await trx.insertInto('events').values(rows).execute();
  }
}

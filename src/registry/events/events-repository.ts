import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Actor, NewEvent } from './event.ts';

/** How many rows one statement takes. */
const BATCH = 500;

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
    await trx.insertInto('events').values(rows).execute();
  }
}

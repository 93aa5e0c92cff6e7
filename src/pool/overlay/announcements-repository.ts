import { sql } from 'kysely';
import { isPostgres } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';

/** Said to all gateways when somebody came to an overlay network or left it. */
export const OVERLAYS_CHANNEL = 'slipway_overlays';

/** Gateways hear of it when the transaction commits. */
export async function announceOverlays(trx: PoolDatabase): Promise<void> {
  if (isPostgres(trx)) await sql`select pg_notify(${OVERLAYS_CHANNEL}, '')`.execute(trx);
}

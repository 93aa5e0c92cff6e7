import type { PoolDatabase } from '#database/pool/open.ts';

/** A job's share of the pool's time for a tenant of weight 1. Divides by the weights that people choose. */
const SHARE = 5040;

/**
 * Gives a tenant's next jobs their turns, by start-time fair queuing: a tenant's turns are `SHARE / weight` apart, and
 * begin where the pool is now. So whoever queues five hundred jobs has turns far into the future, and one that comes
 * after them with a single job gets a turn among the first. Nothing is owed to who was idle. The caller has locked the
 * tenant's row. Goyal, Vin, Cheng: Start-time Fair Queuing (1996).
 */
export async function takeTurns(
  trx: PoolDatabase,
  tenant: { readonly name: string; readonly weight: number; readonly next_turn: number },
  count: number,
): Promise<number[]> {
  if (count === 0) return [];
  const first = Math.max(tenant.next_turn, await turnOfTheLatestStart(trx));
  const apart = Math.ceil(SHARE / tenant.weight);
  const next_turn = first + count * apart;
  await trx.updateTable('tenants').set({ next_turn }).where('name', '=', tenant.name).execute();
  return Array.from({ length: count }, (_, i) => first + i * apart);
}

/** Where the pool is: what began last had this turn. */
async function turnOfTheLatestStart(trx: PoolDatabase): Promise<number> {
  const latest = await trx
    .selectFrom('jobs')
    .select('turn')
    .where('started_at', 'is not', null)
    .orderBy('started_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return latest?.turn ?? 0;
}

import type { PoolDatabase } from '#database/pool/open.ts';
import { notFound } from '#errors/errors.ts';

/**
 * A tenant, whose turns and admissions are this transaction's until it ends; of one that was removed, jobs come to their
 * ends yet. Throws `not-found`.
 */
export async function lockTenant(trx: PoolDatabase, name: string) {
  const tenant = await trx
    .selectFrom('tenants')
    .select(['name', 'weight', 'max_running', 'next_turn', 'removed_at'])
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst();
  if (!tenant) throw notFound(`no such tenant: ${name}`);
  return tenant;
}

/** The same for what is new: nothing of a tenant is made once it was removed, as nobody would take that away. */
export async function lockPresentTenant(trx: PoolDatabase, name: string) {
  const tenant = await lockTenant(trx, name);
  if (tenant.removed_at !== null) throw notFound(`no such tenant: ${name}`);
  return tenant;
}

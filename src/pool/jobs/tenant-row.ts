import type { PoolDatabase } from '#database/pool/open.ts';
import { notFound } from '#errors/errors.ts';

/** A tenant, whose turns and admissions are this transaction's until it ends. Throws `not-found`. */
export async function lockTenant(trx: PoolDatabase, name: string) {
  const tenant = await trx
    .selectFrom('tenants')
    .select(['name', 'weight', 'max_running', 'next_turn'])
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst();
  if (!tenant) throw notFound(`no such tenant: ${name}`);
  return tenant;
}

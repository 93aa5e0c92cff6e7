import { sql } from 'kysely';
import { announceChange } from '#database/registry/changes.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';

/** What every process keeps a copy of. */
export type Kept = 'policies' | 'keys';

/** The topics of `Changes` that say so. */
export const KEPT_TOPICS: Readonly<Record<Kept, string>> = {
  policies: 'auth.policies',
  keys: 'auth.keys',
};

/** Says, in the transaction that changes it, that the copies of all processes are out of date. */
export async function outdate(trx: RegistryDatabase, kept: Kept): Promise<void> {
  await trx
    .updateTable('auth_versions')
    .set({ version: sql<number>`version + 1` })
    .where('name', '=', kept)
    .execute();
  await announceChange(trx, KEPT_TOPICS[kept]);
}

/** Which state of it is in the database. */
export async function versionOf(db: RegistryDatabase, kept: Kept): Promise<number> {
  const row = await db
    .selectFrom('auth_versions')
    .select('version')
    .where('name', '=', kept)
    .executeTakeFirstOrThrow();
  return Number(row.version);
}

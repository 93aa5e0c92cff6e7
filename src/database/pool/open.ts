import type { Kysely } from 'kysely';
import { type DatabaseOptions, SharedDatabase } from '../open.ts';
import { buildingMigrations } from './building-migrations.ts';
import { jobsMigrations } from './jobs-migrations.ts';
import { membershipMigrations } from './membership-migrations.ts';
import { overlayMigrations } from './overlay-migrations.ts';
import { placementsMigrations } from './placements-migrations.ts';
import type { PoolSchema } from './schema.ts';
import { tenantsMigrations } from './tenants-migrations.ts';
import { triggersMigrations } from './triggers-migrations.ts';

import { workersMigrations } from './workers-migrations.ts';

export type PoolDatabase = Kysely<PoolSchema>;

/** What gateways share. It may be the registry's PostgreSQL: it has tables of its own, and a journal of its own. */
export const poolDatabase = new SharedDatabase<PoolSchema>((words) => ({
  migrations: {
    ...workersMigrations(words),
    ...buildingMigrations(words),
    ...jobsMigrations(words),
    ...membershipMigrations(words),
    ...placementsMigrations(words),
    ...overlayMigrations(words),
    ...triggersMigrations(words),
    ...tenantsMigrations(words),
  },
  journal: 'pool_migration',
}));

export function openPoolDatabase(
  options: DatabaseOptions,
  opening: { migrate?: boolean } = {},
): Promise<PoolDatabase> {
  return poolDatabase.open(options, opening);
}

import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';
import { authMigrations } from './auth-migrations.ts';
import { coordinationMigrations } from './coordination-migrations.ts';
import { distributionMigrations } from './distribution-migrations.ts';
import { eventsMigrations } from './events-migrations.ts';
import { gcMigrations } from './gc-migrations.ts';
import { mirrorMigrations } from './mirror-migrations.ts';
import { outboxMigrations } from './outbox-migrations.ts';
import { plannerMigrations } from './planner-migrations.ts';
import { quotasMigrations } from './quotas-migrations.ts';
import { referencesMigrations } from './references-migrations.ts';
import { retentionMigrations } from './retention-migrations.ts';
import { searchMigrations } from './search-migrations.ts';
import { statisticsMigrations } from './statistics-migrations.ts';
import { uploadsMigrations } from './uploads-migrations.ts';
import { webhooksMigrations } from './webhooks-migrations.ts';

export function registryMigrations(words: TableWords): Record<string, Migration> {
  return {
    ...distributionMigrations(words),
    ...eventsMigrations(words),
    ...authMigrations(words),
    ...coordinationMigrations(words),
    ...uploadsMigrations(),
    ...gcMigrations(words),
    ...quotasMigrations(words),
    ...referencesMigrations(words),
    ...retentionMigrations(words),
    ...plannerMigrations(),
    ...mirrorMigrations(words),
    ...outboxMigrations(words),
    ...searchMigrations(words),
    ...statisticsMigrations(words),
    ...webhooksMigrations(words),
  };
}

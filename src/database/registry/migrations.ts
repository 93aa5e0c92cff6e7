import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';
import { distributionMigrations } from './distribution-migrations.ts';
import { eventsMigrations } from './events-migrations.ts';
import { gcMigrations } from './gc-migrations.ts';
import { quotasMigrations } from './quotas-migrations.ts';
import { retentionMigrations } from './retention-migrations.ts';

export function registryMigrations(words: TableWords): Record<string, Migration> {
  return {
    ...distributionMigrations(words),
    ...eventsMigrations(words),
    ...gcMigrations(words),
    ...quotasMigrations(words),
    ...retentionMigrations(words),
  };
}

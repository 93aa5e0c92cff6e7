import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';
import { distributionMigrations } from './distribution-migrations.ts';
import { eventsMigrations } from './events-migrations.ts';

export function registryMigrations(words: TableWords): Record<string, Migration> {
  return { ...distributionMigrations(words), ...eventsMigrations(words) };
}

import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function statisticsMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0012-statistics': statistics(words) };
}

function statistics(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('pulls')
        .addColumn('repository_id', 'bigint', (column) =>
          column.notNull().references('repositories.id').onDelete('cascade'),
        )
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('reference', words.name, (column) => column.notNull())
        .addColumn('pulls', 'bigint', (column) => column.notNull())
        .addColumn('last_pulled_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('pulls_key', ['repository_id', 'kind', 'reference'])
        .modifyEnd(words.byKey)
        .execute();
    },
  };
}

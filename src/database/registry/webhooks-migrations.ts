import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function webhooksMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0011-webhooks': webhooks(words) };
}

function webhooks(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('webhooks')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('url', 'text', (column) => column.notNull())
        .addColumn('description', 'text', (column) => column.notNull())
        .addColumn('format', 'text', (column) => column.notNull())
        .addColumn('secret', 'text', (column) => column.notNull())
        .addColumn('previous_secret', 'text')
        .addColumn('previous_until', 'bigint')
        .addColumn('repositories', 'text', (column) => column.notNull())
        .addColumn('actions', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('updated_at', 'bigint', (column) => column.notNull())
        .execute();
    },
  };
}

import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function workersMigrations(words: TableWords): Record<string, Migration> {
  return { 'pool-0001-workers': workers(words) };
}

function workers(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('workers')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('name', words.name, (column) => column.notNull().unique())
        .addColumn('address', 'text', (column) => column.notNull())
        .addColumn('epoch', 'bigint', (column) => column.notNull())
        .addColumn('lease_expires_at', 'bigint', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('offer', 'text', (column) => column.notNull())
        .addColumn('joined_at', 'bigint', (column) => column.notNull())
        .execute();
    },
  };
}

import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function outboxMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0010-outbox': outbox(words) };
}

function outbox(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('event_consumers')
        .addColumn('name', words.name, (column) => column.primaryKey().notNull())
        .addColumn('cursor', 'text', (column) => column.notNull())
        .execute();

      await db.schema
        .createTable('event_deliveries')
        .addColumn('id', words.id, (column) => column.primaryKey())
        .addColumn('consumer', words.name, (column) =>
          column.notNull().references('event_consumers.name').onDelete('cascade'),
        )
        .addColumn('event', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('attempts', 'integer', (column) => column.notNull())
        .addColumn('due_at', 'bigint', (column) => column.notNull())
        .addColumn('result', 'text')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('updated_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createIndex('event_deliveries_due')
        .on('event_deliveries')
        .columns(['consumer', 'state', 'due_at'])
        .execute();
      await db.schema
        .createIndex('event_deliveries_old')
        .on('event_deliveries')
        .columns(['state', 'updated_at'])
        .execute();
    },
  };
}

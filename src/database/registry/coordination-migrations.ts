import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';
import { guardEventOrder } from './event-order.ts';

export function coordinationMigrations(words: TableWords): Record<string, Migration> {
  return {
    'registry-0004-coordination': coordination(words),
    'registry-0004-event-order': eventOrder(words),
  };
}

function coordination(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('leases')
        .addColumn('name', words.name, (column) => column.primaryKey().notNull())
        .addColumn('holder', 'text', (column) => column.notNull())
        .addColumn('token', 'bigint', (column) => column.notNull())
        .addColumn('expires_at', 'bigint', (column) => column.notNull())
        .modifyEnd(words.byKey)
        .execute();
      await db.schema
        .createTable('changes')
        .addColumn('topic', words.name, (column) => column.primaryKey().notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .modifyEnd(words.byKey)
        .execute();
    },
  };
}

function eventOrder(words: TableWords): Migration {
  return {
    async up(db) {
      if (words.dialect === 'postgres') await guardEventOrder(db);
    },
  };
}

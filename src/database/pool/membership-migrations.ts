import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function membershipMigrations(words: TableWords): Record<string, Migration> {
  return { 'pool-0010-membership': membership(words) };
}

function membership(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('pool_authority')
        .addColumn('id', 'integer', (column) => column.primaryKey().notNull())
        .addColumn('certificate', 'text', (column) => column.notNull())
        .addColumn('private_key', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('join_tokens')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('expires_at', 'bigint', (column) => column.notNull())
        .addColumn('used_at', 'bigint')
        .addColumn('used_by', 'text')
        .execute();
      await db.schema
        .createTable('worker_identities')
        .addColumn('name', words.name, (column) => column.primaryKey().notNull())
        .addColumn('key_digest', 'text', (column) => column.notNull())
        .addColumn('joined_at', 'bigint', (column) => column.notNull())
        .execute();
    },
  };
}

import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function placementsMigrations(words: TableWords): Record<string, Migration> {
  return { 'pool-0011-placements': placements(words) };
}

function placements(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('placements')
        .addColumn('key', words.id, (column) => column.primaryKey())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('name', words.name)
        .addColumn('object_id', words.name)
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('project', words.name)
        .addColumn('used', 'integer', (column) => column.notNull().defaultTo(0))
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addUniqueConstraint('placements_name', ['kind', 'name'])
        .execute();
      await db.schema
        .createIndex('placements_object')
        .on('placements')
        .columns(['kind', 'object_id'])
        .unique()
        .execute();
      await db.schema.createIndex('placements_worker').on('placements').columns(['worker', 'kind']).execute();
      await db.schema.createIndex('placements_project').on('placements').column('project').execute();
      await db.schema
        .createTable('build_sessions')
        .addColumn('kind', words.name, (column) => column.notNull())
        .addColumn('id', words.name, (column) => column.notNull())
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('build_sessions_key', ['kind', 'id'])
        .execute();
    },
  };
}

import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function retentionMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0012-retention': retention(words) };
}

function retention(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('retention_rules')
        .addColumn('id', words.id, (column) => column.primaryKey())
        .addColumn('repositories', words.name, (column) => column.notNull())
        .addColumn('subject', 'text', (column) => column.notNull())
        .addColumn('tags', words.name, (column) => column.notNull())
        .addColumn('keep_newest', 'integer')
        .addColumn('keep_pushed_within', 'bigint')
        .addColumn('keep_pulled_within', 'bigint')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('immutable_tags')
        .addColumn('id', words.id, (column) => column.primaryKey())
        .addColumn('repositories', words.name, (column) => column.notNull())
        .addColumn('tags', words.name, (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addUniqueConstraint('immutable_tags_key', ['repositories', 'tags'])
        .execute();
      // The order in which "the newest" are counted.
      await db.schema
        .createIndex('tags_by_age')
        .on('tags')
        .columns(['repository_id', 'updated_at', 'name'])
        .execute();
      await db.schema
        .createIndex('manifests_by_age')
        .on('manifests')
        .columns(['repository_id', 'created_at', 'digest'])
        .execute();
    },
  };
}

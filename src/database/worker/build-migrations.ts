import type { Migration } from 'kysely';

export const buildMigrations: Record<string, Migration> = {
  'build-0001-cache': {
    async up(db) {
      await db.schema
        .createTable('build_cache')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('description', 'text', (column) => column.notNull())
        .addColumn('diff_ids', 'text', (column) => column.notNull())
        .addColumn('chain_id', 'text')
        .addColumn('bytes', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('last_used_at', 'text', (column) => column.notNull())
        .addColumn('usage_count', 'integer', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('build_cache_keys')
        .addColumn('key', 'text', (column) => column.primaryKey())
        .addColumn('record_id', 'text', (column) =>
          column.notNull().references('build_cache.id').onDelete('cascade'),
        )
        .execute();
      await db.schema
        .createIndex('build_cache_keys_record')
        .on('build_cache_keys')
        .column('record_id')
        .execute();
    },
  },
};

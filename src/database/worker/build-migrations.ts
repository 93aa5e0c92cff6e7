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
  'build-0002-records': {
    async up(db) {
      await db.schema
        .createTable('build_records')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('description', 'text', (column) => column.notNull())
        .addColumn('outputs', 'text', (column) => column.notNull())
        .addColumn('bytes', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('last_used_at', 'text', (column) => column.notNull())
        .addColumn('usage_count', 'integer', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('build_record_keys')
        .addColumn('key', 'text', (column) => column.primaryKey())
        .addColumn('record_id', 'text', (column) =>
          column.notNull().references('build_records.id').onDelete('cascade'),
        )
        .execute();
      await db.schema
        .createIndex('build_record_keys_record')
        .on('build_record_keys')
        .column('record_id')
        .execute();
      await db.schema
        .createTable('build_history')
        .addColumn('ref', 'text', (column) => column.primaryKey())
        .addColumn('generation', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('completed_at', 'text')
        .addColumn('pinned', 'integer', (column) => column.notNull())
        .addColumn('record', 'text', (column) => column.notNull())
        .addColumn('log_bytes', 'integer', (column) => column.notNull())
        .execute();
    },
  },
  'build-0003-cache-mounts': {
    async up(db) {
      await db.schema
        .createTable('build_cache_mounts')
        .addColumn('key', 'text', (column) => column.primaryKey())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('description', 'text', (column) => column.notNull())
        .addColumn('bytes', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('last_used_at', 'text', (column) => column.notNull())
        .addColumn('usage_count', 'integer', (column) => column.notNull())
        .execute();
      await db.schema
        .createIndex('build_cache_mounts_name')
        .on('build_cache_mounts')
        .column('name')
        .execute();
    },
  },
  'build-0004-documents': {
    async up(db) {
      await db.schema
        .createTable('build_documents')
        .addColumn('ref', 'text', (column) =>
          column.notNull().references('build_history.ref').onDelete('cascade'),
        )
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('file', 'text', (column) => column.notNull())
        .addColumn('position', 'integer', (column) => column.notNull())
        .addColumn('size', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('build_documents_key', ['ref', 'digest'])
        .execute();
      await db.schema.createIndex('build_documents_digest').on('build_documents').column('digest').execute();
    },
  },
  'build-0005-step-memos': {
    async up(db) {
      await db.schema
        .createTable('build_step_memos')
        .addColumn('project', 'text', (column) => column.notNull())
        .addColumn('place', 'text', (column) => column.notNull())
        .addColumn('memo', 'text', (column) => column.notNull())
        .addColumn('noted_at', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('build_step_memos_key', ['project', 'place'])
        .execute();
      await db.schema
        .createIndex('build_step_memos_noted')
        .on('build_step_memos')
        .column('noted_at')
        .execute();
    },
  },
  'build-0006-one-cache': {
    async up(db) {
      await db.schema.dropTable('build_cache_keys').execute();
      await db.schema.dropTable('build_cache').execute();
    },
  },
  'build-0007-unsent-records': {
    async up(db) {
      await db.schema
        .alterTable('build_records')
        .addColumn('unsent', 'integer', (column) => column.notNull().defaultTo(0))
        .execute();
    },
  },
};

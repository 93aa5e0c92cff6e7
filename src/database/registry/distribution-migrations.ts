import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function distributionMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0001-distribution': distribution(words) };
}

function distribution(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('repositories')
        .addColumn('id', words.id, (column) => column.primaryKey())
        .addColumn('name', words.name, (column) => column.notNull().unique())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();

      await db.schema
        .createTable('blobs')
        .addColumn('digest', words.name, (column) => column.primaryKey().notNull())
        .addColumn('size', 'bigint', (column) => column.notNull())
        .addColumn('location', words.name, (column) => column.notNull().unique())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();

      await db.schema
        .createTable('repository_blobs')
        .addColumn('repository_id', 'bigint', (column) =>
          column.notNull().references('repositories.id').onDelete('cascade'),
        )
        .addColumn('digest', words.name, (column) => column.notNull().references('blobs.digest'))
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('repository_blobs_key', ['repository_id', 'digest'])
        .modifyEnd(words.byKey)
        .execute();
      await db.schema
        .createIndex('repository_blobs_digest')
        .on('repository_blobs')
        .column('digest')
        .execute();

      await db.schema
        .createTable('manifests')
        .addColumn('repository_id', 'bigint', (column) =>
          column.notNull().references('repositories.id').onDelete('cascade'),
        )
        .addColumn('digest', words.name, (column) => column.notNull())
        .addColumn('media_type', 'text', (column) => column.notNull())
        .addColumn('payload', words.bytes, (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('manifests_key', ['repository_id', 'digest'])
        .execute();

      await db.schema
        .createTable('manifest_references')
        .addColumn('repository_id', 'bigint', (column) => column.notNull())
        .addColumn('manifest', words.name, (column) => column.notNull())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('digest', words.name, (column) => column.notNull())
        .addPrimaryKeyConstraint('manifest_references_key', ['repository_id', 'manifest', 'digest', 'kind'])
        .addForeignKeyConstraint(
          'manifest_references_manifest',
          ['repository_id', 'manifest'],
          'manifests',
          ['repository_id', 'digest'],
          (key) => key.onDelete('cascade'),
        )
        .modifyEnd(words.byKey)
        .execute();
      await db.schema
        .createIndex('manifest_references_digest')
        .on('manifest_references')
        .columns(['digest', 'repository_id'])
        .execute();

      await db.schema
        .createTable('tags')
        .addColumn('repository_id', 'bigint', (column) => column.notNull())
        .addColumn('name', words.name, (column) => column.notNull())
        .addColumn('manifest', words.name, (column) => column.notNull())
        .addColumn('updated_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('tags_key', ['repository_id', 'name'])
        // Deleting a manifest takes its tags along, by the index below.
        .addForeignKeyConstraint(
          'tags_manifest',
          ['repository_id', 'manifest'],
          'manifests',
          ['repository_id', 'digest'],
          (key) => key.onDelete('cascade'),
        )
        .modifyEnd(words.byKey)
        .execute();
      await db.schema
        .createIndex('tags_by_manifest')
        .on('tags')
        .columns(['repository_id', 'manifest'])
        .execute();

      await db.schema
        .createTable('referrers')
        .addColumn('repository_id', 'bigint', (column) => column.notNull())
        .addColumn('subject', words.name, (column) => column.notNull())
        .addColumn('digest', words.name, (column) => column.notNull())
        .addColumn('artifact_type', 'text')
        .addColumn('descriptor', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('referrers_key', ['repository_id', 'subject', 'digest'])
        .addForeignKeyConstraint(
          'referrers_manifest',
          ['repository_id', 'digest'],
          'manifests',
          ['repository_id', 'digest'],
          (key) => key.onDelete('cascade'),
        )
        .modifyEnd(words.byKey)
        .execute();
      await db.schema
        .createIndex('referrers_by_manifest')
        .on('referrers')
        .columns(['repository_id', 'digest'])
        .execute();

      await db.schema
        .createTable('uploads')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('repository', 'text', (column) => column.notNull())
        .addColumn('location', words.name, (column) => column.notNull().unique())
        .addColumn('algorithm', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();
    },
  };
}

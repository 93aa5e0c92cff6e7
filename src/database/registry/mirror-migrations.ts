import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function mirrorMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0014-mirror': mirror(words) };
}

function mirror(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('mirrored_tags')
        .addColumn('repository_id', 'bigint', (column) => column.notNull())
        .addColumn('name', words.name, (column) => column.notNull())
        .addColumn('manifest', words.name, (column) => column.notNull())
        .addColumn('checked_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('mirrored_tags_key', ['repository_id', 'name'])
        .addForeignKeyConstraint(
          'mirrored_tags_tag',
          ['repository_id', 'name'],
          'tags',
          ['repository_id', 'name'],
          (key) => key.onDelete('cascade'),
        )
        .modifyEnd(words.byKey)
        .execute();

      await db.schema
        .createTable('mirrored_manifests')
        .addColumn('repository_id', 'bigint', (column) => column.notNull())
        .addColumn('digest', words.name, (column) => column.notNull())
        .addColumn('fetched_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('mirrored_manifests_key', ['repository_id', 'digest'])
        .addForeignKeyConstraint(
          'mirrored_manifests_manifest',
          ['repository_id', 'digest'],
          'manifests',
          ['repository_id', 'digest'],
          (key) => key.onDelete('cascade'),
        )
        .modifyEnd(words.byKey)
        .execute();
    },
  };
}

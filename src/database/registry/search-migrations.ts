import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function searchMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0013-search': search(words) };
}

function search(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('manifest_texts')
        .addColumn('repository_id', 'bigint', (column) => column.notNull())
        .addColumn('digest', words.name, (column) => column.notNull())
        .addColumn('title', 'text')
        .addColumn('description', 'text')
        .addColumn('text', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('manifest_texts_key', ['repository_id', 'digest'])
        .addForeignKeyConstraint(
          'manifest_texts_manifest',
          ['repository_id', 'digest'],
          'manifests',
          ['repository_id', 'digest'],
          (key) => key.onDelete('cascade'),
        )
        .execute();
    },
  };
}

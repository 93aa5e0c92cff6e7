import { type Migration, sql } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function eventsMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0002-events': events(words), 'registry-0003-audit': audit() };
}

function events(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('events')
        .addColumn('id', words.id, (column) => column.primaryKey())
        .addColumn('at', 'bigint', (column) => column.notNull())
        .addColumn('action', 'text', (column) => column.notNull())
        .addColumn('outcome', 'text', (column) => column.notNull())
        .addColumn('actor', words.name, (column) => column.notNull())
        .addColumn('address', 'text')
        .addColumn('user_agent', 'text')
        .addColumn('request_id', 'text')
        .addColumn('repository', words.name)
        .addColumn('digest', 'text')
        .addColumn('tag', 'text')
        .addColumn('media_type', 'text')
        .addColumn('size', 'bigint')
        .addColumn('detail', 'text')
        .execute();
    },
  };
}

/** An audit asks for the newest first: of all, of someone, of a repository, of what was denied. */
function audit(): Migration {
  return {
    async up(db) {
      await db.schema.createIndex('events_by_time').on('events').columns(['at', 'id']).execute();
      await db.schema.createIndex('events_by_actor').on('events').columns(['actor', 'at', 'id']).execute();
      await db.schema
        .createIndex('events_by_repository')
        .on('events')
        .columns(['repository', 'at', 'id'])
        .execute();
      await db.schema
        .createIndex('events_denied')
        .on('events')
        .columns(['at', 'id'])
        .where(sql.ref('outcome'), '=', sql.lit('denied'))
        .execute();
    },
  };
}

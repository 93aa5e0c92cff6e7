import { type Kysely, type Migration, sql } from 'kysely';
import { isPostgres } from '../dialect.ts';
import type { TableWords } from '../table-words.ts';
import { createTrigger } from '../triggers.ts';
import { gcTriggers } from './gc-migrations.ts';
import { quotaTriggers } from './quotas-migrations.ts';

export function referencesMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0015-references': references(words), 'registry-0016-triggers': { up: leanTriggers } };
}

/**
 * References in the order in which they come, and two indexes that point at them. By the digest that is referred to they
 * lie all over an index; kept in the order of their manifests' digests, which have none, each one that a push adds was a
 * page of it to be written, and often one to be split. Now pushes of what has the same base write the same pages.
 */
function references(words: TableWords): Migration {
  return {
    async up(db) {
      if (isPostgres(db)) await numberRows(db, words);
      else await copyRows(db, words);
      await db.schema
        .createIndex('manifest_references_by_manifest')
        .on('manifest_references')
        .columns(['repository_id', 'manifest'])
        .execute();
      await db.schema
        .createIndex('manifest_references_by_digest')
        .on('manifest_references')
        .columns(['repository_id', 'digest'])
        .execute();
    },
  };
}

async function numberRows(db: Kysely<unknown>, words: TableWords): Promise<void> {
  const table = () => db.schema.alterTable('manifest_references');
  await table().dropConstraint('manifest_references_key').execute();
  await db.schema.dropIndex('manifest_references_digest').execute();
  await table()
    .addColumn('id', words.id, (column) => column.primaryKey())
    .execute();
}

/** SQLite cannot change the key of a table. Its triggers go with it. */
async function copyRows(db: Kysely<unknown>, words: TableWords): Promise<void> {
  await db.schema
    .createTable('numbered_references')
    .addColumn('id', words.id, (column) => column.primaryKey())
    .addColumn('repository_id', 'bigint', (column) => column.notNull())
    .addColumn('manifest', words.name, (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('digest', words.name, (column) => column.notNull())
    .addForeignKeyConstraint(
      'manifest_references_manifest',
      ['repository_id', 'manifest'],
      'manifests',
      ['repository_id', 'digest'],
      (key) => key.onDelete('cascade'),
    )
    .execute();
  await sql`insert into numbered_references (repository_id, manifest, kind, digest)
    select repository_id, manifest, kind, digest from manifest_references
    order by repository_id, manifest`.execute(db);
  await db.schema.dropTable('manifest_references').execute();
  await db.schema.alterTable('numbered_references').renameTo('manifest_references').execute();
}

/** Triggers of SQLite, which run for each row, as they are now: they put that row in order and looked for it twice. */
async function leanTriggers(db: Kysely<unknown>): Promise<void> {
  if (isPostgres(db)) return;
  for (const trigger of [...gcTriggers(db), ...quotaTriggers(db)]) {
    await sql`drop trigger if exists ${sql.id(trigger.name)}`.execute(db);
    await createTrigger(db, trigger);
  }
}

import { type Kysely, type Migration, type RawBuilder, sql } from 'kysely';
import { databaseNow, randomBelow } from '../dialect.ts';
import type { TableWords } from '../table-words.ts';
import { createTrigger, inOrder, once, type Trigger } from '../triggers.ts';

export function gcMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0010-gc': gc(words) };
}

const DAY = 24 * 60 * 60 * 1000;

function gc(words: TableWords): Migration {
  return {
    async up(db) {
      await createTables(db, words);
      for (const trigger of gcTriggers(db)) await createTrigger(db, trigger);
      await queueWhatIsThere(db);
    },
  };
}

async function createTables(db: Kysely<unknown>, words: TableWords): Promise<void> {
  for (const table of ['gc_manifest_queue', 'gc_link_queue']) {
    await db.schema
      .createTable(table)
      .addColumn('repository_id', 'bigint', (column) => column.notNull())
      .addColumn('digest', words.name, (column) => column.notNull())
      .addColumn('review_after', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint(`${table}_key`, ['repository_id', 'digest'])
      .modifyEnd(words.byKey)
      .execute();
    await db.schema.createIndex(`${table}_due`).on(table).column('review_after').execute();
  }
  await db.schema
    .createTable('gc_blob_queue')
    .addColumn('digest', words.name, (column) => column.primaryKey().notNull())
    .addColumn('review_after', 'bigint', (column) => column.notNull())
    .modifyEnd(words.byKey)
    .execute();
  await db.schema.createIndex('gc_blob_queue_due').on('gc_blob_queue').column('review_after').execute();
  await db.schema
    .createTable('gc_locations')
    .addColumn('location', words.name, (column) => column.primaryKey().notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('delete_after', 'bigint', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema.createIndex('gc_locations_due').on('gc_locations').column('delete_after').execute();
  await db.schema
    .createTable('gc_settings')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('delay', 'bigint', (column) => column.notNull())
    .addColumn('jitter', 'bigint', (column) => column.notNull())
    .execute();
  await sql`insert into gc_settings (id, delay, jitter) values (1, ${sql.lit(DAY)}, ${sql.lit(DAY / 10)})`.execute(
    db,
  );
  await db.schema
    .createTable('gc_totals')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('manifests', 'bigint', (column) => column.notNull())
    .addColumn('links', 'bigint', (column) => column.notNull())
    .addColumn('blobs', 'bigint', (column) => column.notNull())
    .addColumn('bytes', 'bigint', (column) => column.notNull())
    .execute();
  await sql`insert into gc_totals (id, manifests, links, blobs, bytes) values (1, 0, 0, 0, 0)`.execute(db);
}

/**
 * Puts rows of `source` (repository_id, digest) onto a queue, those that are there already with a new time. In the
 * order of their key: transactions that take the same rows in the same order do not wait for each other in a circle.
 */
function enqueue(db: Kysely<unknown>, queue: string, source: RawBuilder<unknown>): RawBuilder<unknown> {
  const jitter = randomBelow(db, sql`(gc_settings.jitter + 1)`);
  return sql`insert into ${sql.table(queue)} (repository_id, digest, review_after)
    select found.repository_id, found.digest, ${databaseNow(db)} + gc_settings.delay + ${jitter}
    from (${source}) as found cross join gc_settings where true ${inOrder(db, 'found.repository_id, found.digest')}
    on conflict (repository_id, digest) do update set review_after = excluded.review_after`;
}

/** What puts candidates on the queues, whoever makes the change. */
export function gcTriggers(db: Kysely<unknown>): Trigger[] {
  const key = ['repository_id', 'digest'];
  const reference = ['repository_id', 'digest', 'kind'];
  const tag = {
    on: 'tags',
    columns: ['repository_id', 'manifest'],
    run: (rows: RawBuilder<unknown>) =>
      enqueue(
        db,
        'gc_manifest_queue',
        sql`select ${once(db)} m.repository_id, m.digest from ${rows} join manifests m
          on m.repository_id = changed.repository_id and m.digest = changed.manifest`,
      ),
  };
  return [
    // A link without a manifest, at first: the manifest comes after its blobs.
    {
      name: 'gc_link_made',
      after: 'insert',
      on: 'repository_blobs',
      columns: key,
      run: (rows) => enqueue(db, 'gc_link_queue', sql`select repository_id, digest from ${rows}`),
    },
    // A manifest without a tag or an index, at first.
    {
      name: 'gc_manifest_made',
      after: 'insert',
      on: 'manifests',
      columns: key,
      run: (rows) => enqueue(db, 'gc_manifest_queue', sql`select repository_id, digest from ${rows}`),
    },
    { name: 'gc_tag_moved', after: 'update', ...tag },
    { name: 'gc_tag_deleted', after: 'delete', ...tag },
    // What named a manifest as its subject.
    {
      name: 'gc_manifest_deleted',
      after: 'delete',
      on: 'manifests',
      columns: key,
      run: (rows) =>
        enqueue(
          db,
          'gc_manifest_queue',
          sql`select ${once(db)} r.repository_id, r.digest from ${rows} join referrers r
            on r.repository_id = changed.repository_id and r.subject = changed.digest`,
        ),
    },
    // What a manifest named. An index may name blobs as well: a build cache does.
    {
      name: 'gc_reference_deleted',
      after: 'delete',
      on: 'manifest_references',
      columns: reference,
      run: (rows) =>
        enqueue(
          db,
          'gc_link_queue',
          sql`select ${once(db)} l.repository_id, l.digest from ${rows} join repository_blobs l
            on l.repository_id = changed.repository_id and l.digest = changed.digest`,
        ),
    },
    {
      name: 'gc_child_deleted',
      after: 'delete',
      on: 'manifest_references',
      columns: reference,
      run: (rows) =>
        enqueue(
          db,
          'gc_manifest_queue',
          sql`select ${once(db)} m.repository_id, m.digest from ${rows} join manifests m
            on m.repository_id = changed.repository_id and m.digest = changed.digest
            where changed.kind = 'manifest'`,
        ),
    },
    // The delay was the link's.
    {
      name: 'gc_link_deleted',
      after: 'delete',
      on: 'repository_blobs',
      columns: ['digest'],
      run: (rows) => sql`insert into gc_blob_queue (digest, review_after)
        select found.digest, ${databaseNow(db)} from (select ${once(db)} digest from ${rows}) as found
        where true ${inOrder(db, 'found.digest')}
        on conflict (digest) do update set review_after = excluded.review_after`,
    },
  ];
}

/** A database from before: everything is looked at once. */
async function queueWhatIsThere(db: Kysely<unknown>): Promise<void> {
  await enqueue(db, 'gc_manifest_queue', sql`select repository_id, digest from manifests`).execute(db);
  await enqueue(db, 'gc_link_queue', sql`select repository_id, digest from repository_blobs`).execute(db);
  await sql`insert into gc_blob_queue (digest, review_after) select digest, ${databaseNow(db)} from blobs`.execute(
    db,
  );
}

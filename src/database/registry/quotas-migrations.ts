import { type Kysely, type Migration, type RawBuilder, sql } from 'kysely';
import { firstSegment, isPostgres } from '../dialect.ts';
import type { TableWords } from '../table-words.ts';
import { createTrigger, inOrder, once, type Trigger } from '../triggers.ts';

export function quotasMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0011-quotas': quotas(words) };
}

function quotas(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('quotas')
        .addColumn('namespace', words.name, (column) => column.primaryKey().notNull())
        .addColumn('bytes', 'bigint', (column) => column.notNull())
        .addColumn('updated_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('namespace_blobs')
        .addColumn('namespace', words.name, (column) => column.notNull())
        .addColumn('digest', words.name, (column) => column.notNull())
        .addColumn('size', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('namespace_blobs_key', ['namespace', 'digest'])
        .modifyEnd(words.byKey)
        .execute();
      await db.schema.createIndex('namespace_blobs_digest').on('namespace_blobs').column('digest').execute();
      await db.schema
        .createTable('namespace_usage')
        .addColumn('id', words.id, (column) => column.primaryKey())
        .addColumn('namespace', words.name, (column) => column.notNull())
        .addColumn('bytes', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createIndex('namespace_usage_sum')
        .on('namespace_usage')
        .columns(['namespace', 'bytes'])
        .execute();
      for (const trigger of quotaTriggers(db)) await createTrigger(db, trigger);
      await addBlobs(db, sql`repository_blobs as changed`).execute(db);
    },
  };
}

/** The blobs of links, to their repositories' namespaces. */
function addBlobs(db: Kysely<unknown>, links: RawBuilder<unknown>): RawBuilder<unknown> {
  const namespace = firstSegment(db, sql`r.name`);
  return sql`insert into namespace_blobs (namespace, digest, size)
    select ${once(db)} ${namespace}, b.digest, b.size from ${links}
    join repositories r on r.id = changed.repository_id join blobs b on b.digest = changed.digest
    where true ${inOrder(db, '1, 2')} on conflict (namespace, digest) do nothing`;
}

/** What keeps the sums in step with the links. */
export function quotaTriggers(db: Kysely<unknown>): Trigger[] {
  const change = (sign: '' | '-') => ({
    on: 'namespace_blobs',
    columns: ['namespace', 'size'],
    run: (rows: RawBuilder<unknown>) => sql`insert into namespace_usage (namespace, bytes)
      select namespace, ${sql.raw(sign)}${isPostgres(db) ? sql`sum(size)` : sql`size`} from ${rows}
      ${isPostgres(db) ? sql`group by namespace` : sql``}`,
  });
  return [
    {
      name: 'quota_link_made',
      after: 'insert',
      on: 'repository_blobs',
      columns: ['repository_id', 'digest'],
      run: (rows) => addBlobs(db, rows),
    },
    { name: 'quota_blob_insert', after: 'insert', ...change('') },
    { name: 'quota_blob_delete', after: 'delete', ...change('-') },
  ];
}

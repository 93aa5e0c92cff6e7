import { type Kysely, type Migration, sql } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function tenantsMigrations(words: TableWords): Record<string, Migration> {
  return {
    'pool-0050-tenants': tenants(words),
    'pool-0051-placements-of-tenants': placements(words),
    'pool-0061-removed-tenants': removed(words),
    'pool-0063-generations-of-tenants': generations,
  };
}

function tenants(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('tenant_policies')
        .addColumn('tenant', words.name, (column) =>
          column.primaryKey().notNull().references('tenants.name').onDelete('cascade'),
        )
        .addColumn('policy', 'text', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('tenant_members')
        .addColumn('subject', words.name, (column) => column.notNull())
        .addColumn('tenant', words.name, (column) =>
          column.notNull().references('tenants.name').onDelete('cascade'),
        )
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('tenant_members_key', ['subject', 'tenant'])
        .execute();
      await db.schema
        .createTable('pool_clients')
        .addColumn('key_digest', words.name, (column) => column.primaryKey().notNull())
        .addColumn('name', words.name, (column) => column.notNull().unique())
        .addColumn('subject', words.name, (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('expires_at', 'bigint', (column) => column.notNull())
        .execute();
    },
  };
}

function removed(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema.alterTable('tenants').addColumn('removed_at', 'bigint').execute();
      await db.schema
        .createTable('tenant_remains')
        .addColumn('tenant', words.name, (column) => column.notNull())
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('due_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('tenant_remains_key', ['tenant', 'worker'])
        .execute();
    },
  };
}

const generations: Migration = {
  async up(db) {
    await db.schema
      .alterTable('tenants')
      .addColumn('generation', 'bigint', (column) => column.notNull().defaultTo(0))
      .execute();
  },
};

/** What was there is the operator's. SQLite cannot take a constraint away: the table is made anew. */
function placements(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('placements_anew')
        .addColumn('key', words.id, (column) => column.primaryKey())
        .addColumn('tenant', words.name, (column) => column.notNull())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('name', words.name)
        .addColumn('object_id', words.name)
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('project', words.name)
        .addColumn('used', 'integer', (column) => column.notNull().defaultTo(0))
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addUniqueConstraint('placements_names', ['tenant', 'kind', 'name'])
        .execute();
      await sql`insert into placements_anew (tenant, kind, name, object_id, worker, project, used, created_at)
        select '', kind, name, object_id, worker, project, used, created_at from placements order by key`.execute(
        db,
      );
      await db.schema.dropTable('placements').execute();
      await db.schema.alterTable('placements_anew').renameTo('placements').execute();
      const index = (name: string, columns: string[]) =>
        db.schema.createIndex(name).on('placements').columns(columns);
      await index('placements_object', ['tenant', 'kind', 'object_id']).unique().execute();
      await index('placements_worker', ['worker', 'kind']).execute();
      await index('placements_project', ['tenant', 'project']).execute();
      await sessions(db, words);
    },
  };
}

/** Sessions last as long as a client's connection to a gateway: those of before are over. */
async function sessions(db: Kysely<unknown>, words: TableWords): Promise<void> {
  await db.schema.dropTable('build_sessions').execute();
  await db.schema
    .createTable('build_sessions')
    .addColumn('tenant', words.name, (column) => column.notNull())
    .addColumn('kind', words.name, (column) => column.notNull())
    .addColumn('id', words.name, (column) => column.notNull())
    .addColumn('worker', words.name, (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('build_sessions_of_tenants', ['tenant', 'kind', 'id'])
    .execute();
}

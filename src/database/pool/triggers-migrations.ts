import { type Kysely, type Migration, type RawBuilder, sql } from 'kysely';
import { databaseNow } from '../dialect.ts';
import type { TableWords } from '../table-words.ts';

export function triggersMigrations(words: TableWords): Record<string, Migration> {
  return {
    'pool-0020-triggers': triggers(words),
    'pool-0021-hooks': hooks(words),
    'pool-0022-affinity': affinity,
    'pool-0060-confined-triggers': confined(words),
  };
}

function triggers(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('job_triggers')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('tenant', words.name, (column) => column.notNull().references('tenants.name'))
        .addColumn('name', words.name, (column) => column.notNull())
        .addColumn('source', 'text', (column) => column.notNull())
        .addColumn('submission', 'text', (column) => column.notNull())
        .addColumn('secret', 'text')
        .addColumn('enabled', 'integer', (column) => column.notNull())
        .addColumn('due_at', 'bigint')
        .addColumn('seen', 'text')
        .addColumn('fired_at', 'bigint')
        .addColumn('last_id', 'text')
        .addColumn('last_error', 'text')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addUniqueConstraint('job_triggers_name', ['tenant', 'name'])
        .execute();
      await sql`create index job_triggers_due on job_triggers (due_at) where due_at is not null`.execute(db);
      await db.schema
        .createTable('job_trigger_events')
        .addColumn('trigger_id', words.name, (column) => column.notNull())
        .addColumn('event', words.name, (column) => column.notNull())
        .addColumn('at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('job_trigger_events_key', ['trigger_id', 'event'])
        .execute();
      await db.schema.createIndex('job_trigger_events_at').on('job_trigger_events').column('at').execute();
    },
  };
}

const affinity: Migration = {
  async up(db) {
    await db.schema.alterTable('jobs').addColumn('affinity', 'text').execute();
    await sql`create index jobs_affinity on jobs (affinity, id desc)
      where affinity is not null and state = 'succeeded'`.execute(db);
  },
};

function hooks(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('job_hooks')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('tenant', words.name, (column) => column.notNull().references('tenants.name'))
        .addColumn('url', 'text', (column) => column.notNull())
        .addColumn('states', 'text', (column) => column.notNull())
        .addColumn('secret', 'text', (column) => column.notNull())
        .addColumn('enabled', 'integer', (column) => column.notNull())
        .addColumn('last_result', 'text')
        .addColumn('last_at', 'bigint')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema.createIndex('job_hooks_tenant').on('job_hooks').column('tenant').execute();
      await db.schema
        .createTable('job_hook_deliveries')
        .addColumn('id', words.id, (column) => column.primaryKey())
        .addColumn('hook_id', words.name, (column) => column.notNull())
        .addColumn('job_id', 'bigint', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('attempt', 'integer', (column) => column.notNull())
        .addColumn('at', 'bigint', (column) => column.notNull())
        .addColumn('tries', 'integer', (column) => column.notNull())
        .addColumn('due_at', 'bigint', (column) => column.notNull())
        .execute();
      const index = db.schema.createIndex('job_hook_deliveries_due').on('job_hook_deliveries');
      await index.column('due_at').execute();
      await db.schema
        .createIndex('job_hook_deliveries_job')
        .on('job_hook_deliveries')
        .column('job_id')
        .execute();
      await createDeliveriesTrigger(db, words);
    },
  };
}

/** Those of tenants' clients hear of what these have asked for alone. */
function confined(words: TableWords): Migration {
  return {
    async up(db) {
      for (const table of ['job_triggers', 'job_hooks']) {
        await db.schema
          .alterTable(table)
          .addColumn('confined', 'integer', (column) => column.notNull().defaultTo(0))
          .execute();
      }
      const on = words.dialect === 'sqlite' ? sql`` : sql` on jobs`;
      await sql`drop trigger jobs_tell${on}`.execute(db);
      if (words.dialect !== 'sqlite') await sql`drop function jobs_tell()`.execute(db);
      await createDeliveriesTrigger(db, words, sql` and (job_hooks.confined = 0 or new.confined = 1)`);
    },
  };
}

/** Whatever changes a job's state, whoever wants to hear of it will: in the same transaction. */
async function createDeliveriesTrigger(
  db: Kysely<unknown>,
  { dialect }: TableWords,
  only: RawBuilder<unknown> = sql``,
): Promise<void> {
  const changed = sql`old.state <> new.state
    and new.state in ('running', 'succeeded', 'failed', 'canceled', 'skipped')`;
  const deliver = sql`
    insert into job_hook_deliveries (hook_id, job_id, state, attempt, at, tries, due_at)
    select job_hooks.id, new.id, new.state, new.attempt, ${databaseNow(db)}, 0, ${databaseNow(db)}
    from job_hooks where job_hooks.tenant = new.tenant and job_hooks.enabled = 1
      and job_hooks.states like '%,' || new.state || ',%'${only};`;
  if (dialect === 'sqlite') {
    await sql`create trigger jobs_tell after update of state on jobs when ${changed} begin ${deliver} end`.execute(
      db,
    );
    return;
  }
  await sql`create function jobs_tell() returns trigger language plpgsql as
    $$ begin ${deliver} return null; end $$`.execute(db);
  await sql`create trigger jobs_tell after update of state on jobs for each row when (${changed})
    execute function jobs_tell()`.execute(db);
}

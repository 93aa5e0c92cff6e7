import { type Kysely, type Migration, sql } from 'kysely';
import type { TableWords } from '../table-words.ts';

const UNFINISHED = sql`state in ('blocked', 'delayed', 'held', 'queued', 'running', 'publishing')`;

export function jobsMigrations(words: TableWords): Record<string, Migration> {
  return {
    'pool-0002-jobs': jobs(words),
    'pool-0003-job-logs': logs(words),
    'pool-0004-job-contexts': contexts(words),
    'pool-0005-job-dependents': dependents,
    'pool-0035-job-confined': confined,
    'pool-0036-job-vacuum': vacuum(words),
  };
}

function jobs(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('tenants')
        .addColumn('name', words.name, (column) => column.primaryKey().notNull())
        .addColumn('weight', 'integer', (column) => column.notNull().defaultTo(1))
        .addColumn('max_running', 'integer')
        .addColumn('next_turn', 'bigint', (column) => column.notNull().defaultTo(0))
        .execute();
      await createJobs(db, words);
      await db.schema
        .createTable('job_needs')
        .addColumn('job_id', 'bigint', (column) => column.notNull().references('jobs.id').onDelete('cascade'))
        .addColumn('needs_id', 'bigint', (column) =>
          column.notNull().references('jobs.id').onDelete('cascade'),
        )
        .addPrimaryKeyConstraint('job_needs_key', ['needs_id', 'job_id'])
        .execute();
      await db.schema.createIndex('job_needs_of').on('job_needs').column('job_id').execute();
    },
  };
}

async function createJobs(db: Kysely<unknown>, words: TableWords): Promise<void> {
  await db.schema
    .createTable('jobs')
    .addColumn('id', words.id, (column) => column.primaryKey())
    .addColumn('public_id', words.name, (column) => column.notNull().unique())
    .addColumn('tenant', words.name, (column) => column.notNull().references('tenants.name'))
    .addColumn('pipeline', words.name)
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('spec', 'text', (column) => column.notNull())
    .addColumn('requirement', words.name, (column) => column.notNull())
    .addColumn('priority', 'integer', (column) => column.notNull())
    .addColumn('turn', 'bigint', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('dedup_key', 'text')
    .addColumn('attempt', 'integer', (column) => column.notNull())
    .addColumn('max_attempts', 'integer', (column) => column.notNull())
    .addColumn('due_at', 'bigint')
    .addColumn('timeout', 'bigint', (column) => column.notNull())
    .addColumn('preferred_worker', words.name)
    .addColumn('preferred_until', 'bigint')
    .addColumn('worker', words.name)
    .addColumn('worker_epoch', 'bigint')
    .addColumn('cancel_reason', 'text')
    .addColumn('result', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('started_at', 'bigint')
    .addColumn('finished_at', 'bigint')
    .execute();
  const partial = (name: string, columns: string, condition: ReturnType<typeof sql>) =>
    sql`create index ${sql.raw(name)} on jobs (${sql.raw(columns)}) where ${condition}`.execute(db);
  // What a claim reads, in its order.
  await partial('jobs_queued', 'requirement, priority desc, turn, id', sql`state = 'queued'`);
  await partial('jobs_held', 'tenant, priority desc, turn, id', sql`state = 'held'`);
  await partial('jobs_admitted', 'tenant', sql`state in ('queued', 'running', 'publishing')`);
  await partial('jobs_delayed', 'due_at', sql`state = 'delayed'`);
  await partial('jobs_running', 'worker', sql`state = 'running'`);
  await partial('jobs_publishing', 'due_at', sql`state = 'publishing'`);
  await partial('jobs_of_pipeline', 'pipeline, id', sql`pipeline is not null`);
  await partial('jobs_started', 'started_at desc', sql`started_at is not null`);
  await partial('jobs_finished', 'finished_at', sql`finished_at is not null`);
  await db.schema.createIndex('jobs_by_tenant').on('jobs').columns(['tenant', 'id']).execute();
  await sql`create unique index jobs_dedup on jobs (tenant, dedup_key)
    where dedup_key is not null and ${UNFINISHED}`.execute(db);
}

function logs(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('job_log_chunks')
        .addColumn('job_id', 'bigint', (column) => column.notNull().references('jobs.id').onDelete('cascade'))
        .addColumn('start', 'bigint', (column) => column.notNull())
        .addColumn('size', 'bigint', (column) => column.notNull())
        .addColumn('data', words.bytes)
        .addColumn('location', 'text')
        .addPrimaryKeyConstraint('job_log_chunks_key', ['job_id', 'start'])
        .execute();
    },
  };
}

function contexts(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('job_contexts')
        .addColumn('digest', words.name, (column) => column.notNull())
        .addColumn('tenant', words.name, (column) => column.notNull().references('tenants.name'))
        .addColumn('size', 'bigint', (column) => column.notNull())
        .addColumn('location', 'text', (column) => column.notNull())
        .addColumn('used_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('job_contexts_key', ['tenant', 'digest'])
        .execute();
      await db.schema.createIndex('job_contexts_used').on('job_contexts').column('used_at').execute();
    },
  };
}

const dependents: Migration = {
  async up(db) {
    await db.schema
      .alterTable('jobs')
      .addColumn('dependents', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
  },
};

/** Two jobs of a name's may have the same key, if one is the tenant's own and the other is not. */
const confined: Migration = {
  async up(db) {
    await db.schema
      .alterTable('jobs')
      .addColumn('confined', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
    await db.schema.dropIndex('jobs_dedup').execute();
    await sql`create unique index jobs_dedup on jobs (tenant, confined, dedup_key)
      where dedup_key is not null and ${UNFINISHED}`.execute(db);
  },
};

/**
 * Claims step over what was claimed and not yet vacuumed away. By PostgreSQL's default that may be a fifth of the table,
 * which is mostly jobs that are over: here it is what a busy minute leaves.
 */
function vacuum(words: TableWords): Migration {
  return {
    async up(db) {
      if (words.dialect !== 'postgres') return;
      await sql`alter table jobs set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_analyze_scale_factor = 0.02)`.execute(db);
    },
  };
}

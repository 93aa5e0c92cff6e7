import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function buildingMigrations(words: TableWords): Record<string, Migration> {
  return {
    'pool-0030-build-turns': turns(words),
    'pool-0031-worker-contents': contents(words),
    'pool-0032-drain': drain,
    'pool-0033-scale-calls': scaleCalls,
    'pool-0034-step-claims': stepClaims(words),
  };
}

function turns(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('build_turns')
        .addColumn('id', words.id, (column) => column.primaryKey())
        .addColumn('tenant', words.name, (column) => column.notNull())
        .addColumn('project', words.name, (column) => column.notNull())
        .addColumn('session', words.name)
        .addColumn('wish', 'text', (column) => column.notNull())
        .addColumn('worker', words.name)
        .addColumn('exempt', 'integer', (column) => column.notNull())
        .addColumn('seen_at', 'bigint', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('build_turns_lock')
        .addColumn('id', 'integer', (column) => column.primaryKey().notNull())
        .addColumn('rounds', 'bigint', (column) => column.notNull())
        .execute();
      await db
        .withTables<{ build_turns_lock: { id: number; rounds: number } }>()
        .insertInto('build_turns_lock')
        .values({ id: 1, rounds: 0 })
        .execute();
      await db.schema
        .createTable('build_projects')
        .addColumn('tenant', words.name, (column) => column.notNull())
        .addColumn('project', words.name, (column) => column.notNull())
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('built_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('build_projects_key', ['tenant', 'project', 'worker'])
        .execute();
      await db.schema.createIndex('build_projects_age').on('build_projects').column('built_at').execute();
      await db.schema
        .createTable('session_projects')
        .addColumn('tenant', words.name, (column) => column.notNull())
        .addColumn('session', words.name, (column) => column.notNull())
        .addColumn('project', words.name, (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('session_projects_key', ['tenant', 'session'])
        .execute();
    },
  };
}

function contents(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('worker_contents')
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('tenant', words.name, (column) => column.notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .addColumn('content', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('worker_contents_key', ['worker', 'tenant'])
        .execute();
    },
  };
}

function stepClaims(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('step_claims')
        .addColumn('scope', words.name, (column) => column.notNull())
        .addColumn('key', words.name, (column) => column.notNull())
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('epoch', 'integer', (column) => column.notNull())
        .addColumn('attempt', words.name, (column) => column.notNull())
        .addColumn('wanted', 'integer', (column) => column.notNull())
        .addColumn('claimed_at', 'bigint', (column) => column.notNull())
        .addColumn('finished_at', 'bigint')
        .addColumn('ended_at', 'bigint')
        .addColumn('outcome', words.name)
        .addPrimaryKeyConstraint('step_claims_key', ['scope', 'key'])
        .execute();
      await db.schema.createIndex('step_claims_attempt').on('step_claims').column('attempt').execute();
      await db.schema.createIndex('step_claims_age').on('step_claims').column('claimed_at').execute();
    },
  };
}

const scaleCalls: Migration = {
  async up(db) {
    await db.schema
      .createTable('scale_calls')
      .addColumn('id', 'integer', (column) => column.primaryKey().notNull())
      .addColumn('due_at', 'bigint', (column) => column.notNull())
      .addColumn('desired', 'integer')
      .addColumn('waited', 'integer', (column) => column.notNull())
      .execute();
    await db
      .withTables<{ scale_calls: { id: number; due_at: number; waited: number } }>()
      .insertInto('scale_calls')
      .values({ id: 1, due_at: 0, waited: 0 })
      .execute();
  },
};

const drain: Migration = {
  async up(db) {
    await db.schema
      .alterTable('workers')
      .addColumn('drained', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
    await db.schema
      .alterTable('workers')
      .addColumn('leaving', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
  },
};

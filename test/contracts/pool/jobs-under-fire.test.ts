import type { LogEvent } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPoolDatabase, poolDatabase } from '#database/pool/open.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import { DueRepository } from '#pool/jobs/due-repository.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { DemandRepository } from '#pool/scheduler/demand-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';
import { PostgresServer } from '../../database/postgres-server.ts';
import { postgresOptions } from '../../database/registry-databases.ts';
import { newJob, OFFER } from './fixtures.ts';

const MINUTE = 60_000;

/** As a process whose clock is wrong by so many milliseconds. */
async function skewed<T>(skew: number, task: () => Promise<T>): Promise<T> {
  const real = Date.now;
  Date.now = () => real() + skew;
  try {
    return await task();
  } finally {
    Date.now = real;
  }
}

onEachPoolDatabase('clocks that are wrong', (create) => {
  it.each([-10 * MINUTE, 10 * MINUTE])('by %d ms neither take leases nor start jobs early', async (skew) => {
    await using database = await create();
    const { db } = database;
    await new TenantsRepository(db).ensure('a');
    const [jobs, claims, due] = [new JobsRepository(db), new ClaimsRepository(db), new DueRepository(db)];
    const leases = new WorkerLeasesRepository(db);
    const worker = (name: string) => leases.acquire({ name, address: 'unix:///w', offer: OFFER }, 2 * MINUTE);
    const here = await worker('here');
    const there = await skewed(skew, () => worker('there'));
    const expired = () => leases.expire((trx, lost) => claims.release(trx, lost));
    expect(await expired()).toEqual([]);
    expect(await skewed(skew, expired)).toEqual([]);
    expect(await skewed(skew, () => leases.renew(here, 2 * MINUTE))).toBe(true);

    await jobs.enqueue(newJob());
    const later = await jobs.enqueue(newJob({ notBefore: Date.now() + 5 * MINUTE }));
    await skewed(skew, () => due.release());
    expect((await jobs.get(later.job.id)).state).toBe('delayed');
    const [claim] = await skewed(skew, () => claims.claim(there, [''], 9));
    expect(await claims.claim(here, [''], 9)).toEqual([]);
    expect(await skewed(skew, () => claims.end(claim!, there, { state: 'succeeded', result: null }))).toBe(
      true,
    );
    const ended = await jobs.get(claim!.id);
    // All of its times are the database's.
    for (const time of [ended.createdAt, ended.startedAt!, ended.finishedAt!]) {
      expect(Math.abs(time - Date.now())).toBeLessThan(5 * MINUTE);
    }
  });
});

describe('on a PostgreSQL of its own', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  it('a database that goes away while jobs are claimed loses none, and gives none twice', async () => {
    const db = await openPoolDatabase(postgresOptions(await server.createDatabase()));
    try {
      await new TenantsRepository(db).ensure('a');
      const [jobs, claims] = [new JobsRepository(db), new ClaimsRepository(db)];
      const leases = new WorkerLeasesRepository(db);
      const COUNT = 300;
      await jobs.enqueueAll(Array.from({ length: COUNT }, () => newJob()));
      const started = new Map<string, number>();
      const ended = new Map<string, number>();
      let faults = 0;
      /** Again and again until the database answers. */
      const persist = async <T>(task: () => Promise<T>): Promise<T> => {
        for (;;) {
          try {
            return await task();
          } catch {
            faults++;
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }
      };
      const work = async (name: string) => {
        const worker = await persist(() =>
          leases.acquire({ name, address: 'unix:///w', offer: OFFER }, 10 * MINUTE),
        );
        while (ended.size < COUNT) {
          const before = new Set((await persist(() => claims.of(worker))).map(({ id }) => id));
          const claimed = await claims.claim(worker, [''], 2).catch(() => undefined);
          if (!claimed) {
            faults++;
            // What was claimed, and not heard of, is given back.
            for (const held of await persist(() => claims.of(worker))) {
              if (!before.has(held.id)) await persist(() => claims.giveBack(held, worker, 'not heard of'));
            }
          }
          for (const claim of claimed ?? []) {
            started.set(claim.id, (started.get(claim.id) ?? 0) + 1);
            // The first answer may be lost: then the second one says that it is over.
            await persist(() => claims.end(claim, worker, { state: 'succeeded', result: null }));
            ended.set(claim.id, (ended.get(claim.id) ?? 0) + 1);
          }
          await persist(() => new DueRepository(db).release());
        }
      };
      const working = Promise.all(['one', 'two', 'three'].map(work));
      for (const share of [0.2, 0.5]) {
        while (ended.size < COUNT * share) await new Promise((resolve) => setTimeout(resolve, 5));
        await server.stop('SIGQUIT');
        await server.resume();
      }
      await working;
      expect(faults).toBeGreaterThan(0);
      const states = await db.selectFrom('jobs').select('state').distinct().execute();
      expect(states).toEqual([{ state: 'succeeded' }]);
      expect([...started.values()].filter((count) => count !== 1)).toEqual([]);
      expect(ended.size).toBe(COUNT);
    } finally {
      await db.destroy();
    }
  });

  it('what was claimed is vacuumed away by how much it is, not by what share of all jobs', async () => {
    const url = await server.createDatabase();
    const db = await openPoolDatabase(postgresOptions(url));
    try {
      const [row] = await server.query(
        `select reloptions from pg_class where oid = 'jobs'::regclass`,
        new URL(url).pathname.slice(1),
      );
      expect(row!.reloptions).toContain('autovacuum_vacuum_scale_factor=0');
      expect(row!.reloptions).toContain('autovacuum_vacuum_threshold=20000');
    } finally {
      await db.destroy();
    }
  });

  it('a claim is one statement, by the index of what is queued, and so is what there is to do', async () => {
    const url = await server.createDatabase();
    const queries: LogEvent[] = [];
    const db = await poolDatabase.open(postgresOptions(url), { log: (event) => queries.push(event) });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await new TenantsRepository(db).ensure('a');
      const jobs = new JobsRepository(db);
      const [first] = await jobs.enqueueAll([newJob(), newJob({ requirement: '["linux/arm64",[]]' })]);
      await client.query(`insert into jobs (public_id, tenant, name, kind, spec, requirement, priority, turn, state,
          attempt, max_attempts, timeout, created_at, finished_at)
        select 'over ' || n, 'a', 'j', 'run', '{}', '', 0, n, 'succeeded', 1, 3, 1, n, n from generate_series(1, 20000) n`);
      await client.query(`insert into jobs (public_id, tenant, name, kind, spec, requirement, priority, turn, state,
          attempt, max_attempts, timeout, created_at)
        select 'waits ' || n, 'a', 'j', 'run', '{}', '', 0, 1000000 + n, 'queued', 0, 3, 1, n from generate_series(1, 5000) n`);
      await client.query('analyze jobs');
      const worker = await new WorkerLeasesRepository(db).acquire(
        { name: 'w', address: 'unix:///w', offer: OFFER },
        MINUTE,
      );
      queries.length = 0;
      const claimed = await new ClaimsRepository(db).claim(worker, ['', '["linux/arm64",[]]'], 1);
      expect(claimed.map(({ id }) => id)).toEqual([first!.job.id]);
      expect(queries).toHaveLength(1);
      const planOf = async ({ query: { sql, parameters } }: LogEvent) => {
        const { rows } = await client.query(`explain (analyze, format json) ${sql}`, [...parameters]);
        return JSON.stringify(rows[0]['QUERY PLAN']);
      };
      const allJobs = /"Node Type":"Seq Scan"[^{}]*"Relation Name":"jobs"/;
      const plan = await planOf(queries[0]!);
      expect(plan).toContain('"jobs_queued"');
      expect(plan).not.toMatch(allJobs);

      // Nor is what is over looked at to say how much there is to do. Explaining the claim has made another one.
      queries.length = 0;
      expect((await new DemandRepository(db).read()).waiting.jobs).toBe(5_000);
      for (const query of [...queries]) expect(await planOf(query)).not.toMatch(allJobs);
    } finally {
      await client.end();
      await db.destroy();
    }
  });
});

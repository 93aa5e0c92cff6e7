import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolJobs } from '#cli/pool/jobs.ts';
import type { Attempt } from '#pool/agent/job-runner.ts';
import type { RunSpec } from '#pool/jobs/specs.ts';
import type { PostgresServer } from '../../database/postgres-server.ts';
import { openPoolJobs, startIdleAgent } from './pool-of-jobs.ts';

const SECONDS = 20;
/** A million a day. */
const JOBS_A_SECOND = 12;

/**
 * A pool of so many idle workers, whose agents are all in this process, as those of one gateway: what they ask of the
 * database while there is nothing to do, and with a million jobs a day, and how long a job takes to be begun.
 */
export async function measureManyWorkers(server: PostgresServer, workers: number): Promise<void> {
  await using closing = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  closing.defer(() => rm(folder, { recursive: true, force: true }));
  const url = await server.createDatabase();
  const pool = await openPoolJobs({ url, dataDir: folder, closing });
  const started = new Map<string, () => void>();
  const began = ({ job }: Attempt) => started.get((job.spec as RunSpec).command![0]!)?.();
  for (let i = 0; i < workers; i++) await startIdleAgent(pool, { name: `w${i}`, began, closing });
  const database = new URL(url).pathname.slice(1);
  const transactions = async () => {
    const query = `select xact_commit::float as count from pg_stat_database where datname = '${database}'`;
    return ((await server.query(query)) as { count: number }[])[0]!.count;
  };
  await sleep(5_000);
  const rate = async (task: () => Promise<unknown>) => {
    const [before, began, cpu] = [await transactions(), performance.now(), process.cpuUsage()];
    await task();
    const took = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const core = ((user + system) / 1e6 / took).toFixed(2);
    return `${Math.round((await transactions()) / took - before / took)} transactions/s, ${core} of a core`;
  };
  console.log(`${workers} workers, idle: ${await rate(() => sleep(SECONDS * 1000))}`);
  const taken: number[] = [];
  const busy = await rate(async () => {
    for (let i = 0; i < SECONDS * JOBS_A_SECOND; i++) {
      void begun(pool, started).then((time) => taken.push(time));
      await sleep(1000 / JOBS_A_SECOND);
    }
    while (taken.length < SECONDS * JOBS_A_SECOND) await sleep(50);
  });
  taken.sort((one, other) => one - other);
  const at = (share: number) => `${taken[Math.floor(taken.length * share)]!.toFixed(0)} ms`;
  console.log(
    `${workers} workers, ${JOBS_A_SECOND} jobs/s: ${busy}; begun after p50 ${at(0.5)}, p95 ${at(0.95)}`,
  );
}

/** How long a job takes from the request to its start, in milliseconds. */
async function begun(pool: PoolJobs, started: Map<string, () => void>): Promise<number> {
  const began = performance.now();
  const key = randomUUID();
  const { promise, resolve } = Promise.withResolvers<void>();
  started.set(key, resolve);
  await pool.jobs.submit('default', {
    kind: 'run',
    run: { image: 'busybox', command: [key], env: {}, limits: {}, network: 'none', artifacts: [] },
    priority: 0,
    attempts: 1,
    timeout: 60_000,
    constraints: {},
    needs: [],
  });
  await promise;
  started.delete(key);
  return performance.now() - began;
}

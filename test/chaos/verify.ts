import { setTimeout as sleep } from 'node:timers/promises';
import type { Slipway } from '../e2e/harness/slipway.ts';
import { type Acknowledged, askAny } from './load.ts';
import type { PoolUnderTest } from './pool-under-test.ts';

/** How long a queue may take to drain, in milliseconds. */
const PATIENCE = 300_000;

/** Until no job is left to be done. Throws when that takes too long. */
export async function endOf(
  { postgres, database }: PoolUnderTest,
  { tell, signal }: { tell: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  const open = `select state, count(*)::int as count from jobs
    where state not in ('succeeded', 'failed', 'canceled', 'skipped') group by state`;
  const began = performance.now();
  for (;;) {
    const rows = await postgres.query(open, database);
    if (rows.length === 0) return;
    if (performance.now() - began > PATIENCE) {
      const held = await postgres.query(
        `select public_id, name, state, attempt, worker, worker_epoch from jobs
         where state not in ('succeeded', 'failed', 'canceled', 'skipped') limit 10`,
        database,
      );
      throw new Error(
        `the queue does not drain: ${JSON.stringify(rows)}\n${JSON.stringify(held, undefined, 1)}`,
      );
    }
    tell(JSON.stringify(rows));
    await sleep(2_000, undefined, { signal });
  }
}

/** What is wrong with what became of the jobs. */
export async function verify(
  pool: PoolUnderTest,
  acknowledged: readonly Acknowledged[],
  random: () => number,
): Promise<{ problems: string[]; succeeded: number; retries: number }> {
  const { postgres, database, registry } = pool;
  const problems: string[] = [];
  const rows = await postgres.query('select public_id, state, attempt, result from jobs', database);
  const jobs = new Map(rows.map((row) => [row.public_id as string, row]));
  const ends = new Map<string, string[]>();
  for (const { job, state } of await postgres.query(
    'select job, state from chaos_ends order by at',
    database,
  )) {
    ends.set(job as string, [...(ends.get(job as string) ?? []), state as string]);
  }
  const ids = new Set(acknowledged.map(({ id }) => id));
  if (ids.size !== acknowledged.length) problems.push('two jobs were acknowledged by one id');
  for (const id of jobs.keys()) if (!ids.has(id)) problems.push(`job ${id} was never asked for`);
  const tags = await tagsOf(registry);
  let succeeded = 0;
  for (const { id, number, tag } of acknowledged) {
    const job = jobs.get(id);
    if (!job) problems.push(`job ${number} is lost`);
    if (job?.state === 'succeeded') succeeded++;
    else problems.push(`job ${number} ${job?.state} after ${job?.attempt} attempts: ${job?.result}`);
    const ended = ends.get(id) ?? [];
    if (ended.length !== 1) problems.push(`job ${number} ended ${ended.length} times: ${ended.join(', ')}`);
    if (tag !== undefined && !tags.has(tag)) problems.push(`job ${number} succeeded without its artifact`);
    const log = await logOf(pool, random, id);
    if (!log.includes(`done ${number}`)) problems.push(`job ${number}: its log lacks its last line`);
  }
  const retries = rows.reduce((sum, { attempt }) => sum + Math.max(0, (attempt as number) - 1), 0);
  return { problems, succeeded, retries };
}

/** The containers of jobs that a worker still has, once it had a while to remove them. */
export async function containersOf(worker: Slipway): Promise<string[]> {
  let left: string[] = [];
  for (let tries = 0; tries < 30; tries++) {
    const names = await worker.dockerOk('ps', '--all', '--format', '{{.Names}} {{.Status}}');
    left = names.split('\n').filter((line) => line !== '' && !line.startsWith('keeper '));
    if (left.length === 0) return [];
    await sleep(500);
  }
  return left;
}

async function tagsOf({ registry }: Slipway): Promise<Set<string>> {
  const answer = await fetch(`http://${registry}/v2/chaos/out/tags/list?n=10000`);
  if (answer.status === 404) return new Set();
  return new Set(((await answer.json()) as { tags: string[] }).tags);
}

async function logOf(pool: PoolUnderTest, random: () => number, id: string): Promise<string> {
  for (let tries = 1; ; tries++) {
    try {
      return await askAny<string>(pool, random, 'GET', `/jobs/${id}/logs`);
    } catch (error) {
      if (tries === 10) return `${error}`;
      await sleep(200);
    }
  }
}

import type { PostgresServer } from '../../database/postgres-server.ts';
import { SlipwayQueue } from './slipway-queue.ts';

const CLAIMERS = 8;
const TENANTS = 1_000;
/** How often it is measured in a row, as what was claimed lies before what waits, and for how long. */
const ROUNDS = 4;
const SECONDS = 5;

/** The queue with so many jobs that are over, and so many that wait, of a thousand tenants: how large it is, and how fast. */
export async function measureLargeQueue(
  server: PostgresServer,
  { finished, waiting }: { finished: number; waiting: number },
): Promise<void> {
  const url = await server.createDatabase();
  const database = new URL(url).pathname.slice(1);
  await using queue = await SlipwayQueue.open(url, CLAIMERS);
  const row = (state: string, count: number, more: string) => `
    insert into jobs (public_id, tenant, name, kind, spec, requirement, priority, turn, state, attempt, max_attempts,
      timeout, affinity, worker, worker_epoch, result, created_at, started_at, finished_at)
    select gen_random_uuid(), 'tenant-' || n % ${TENANTS}, 'registry.example/team/app:' || n, 'build',
      '{"context":{"url":"https://git.example/team/app.git#0123456789abcdef0123456789abcdef01234567"},"args":{},"labels":{},"platforms":[],"noCache":false,"tags":["registry.example/team/app:' || n || '"]}',
      '', 0, n / ${TENANTS} * 5040, '${state}', 1, 3, 3600000, md5((n % 2000)::text), ${more}
    from generate_series(1, ${count}) as n`;
  const ended = `'worker', 1, '{"publications":[{"repository":"registry.example/team/app","digest":"sha256:' || repeat('0', 64) || '","tags":["1"]}]}', n, n, n`;
  await server.query(
    `insert into tenants (name) select 'tenant-' || n from generate_series(0, ${TENANTS - 1}) as n on conflict do nothing`,
    database,
  );
  await server.query(row('succeeded', finished, ended), database);
  const one = await sizes(server, database);
  await server.query(row('queued', waiting, 'null, null, null, n, null, null'), database);
  await server.query('vacuum analyze jobs', database);
  if (finished > 0)
    console.log(
      `a row of a job: ${Math.round(one.table / finished)} bytes, and ${Math.round(one.indexes / finished)} in indexes`,
    );
  for (const { name, bytes } of await indexSizes(server, database)) {
    console.log(`  ${name.padEnd(24)} ${(bytes / 2 ** 20).toFixed(1).padStart(8)} MiB`);
  }
  for (const batch of [1, 10]) {
    const rates: number[] = [];
    for (let i = 0; i < ROUNDS; i++) rates.push(await claimRate(queue, batch));
    console.log(`claimed, ${batch} at a time: ${rates.join(', ')} jobs/s`);
  }
}

async function claimRate(queue: SlipwayQueue, batch: number): Promise<number> {
  const until = performance.now() + SECONDS * 1000;
  let claimed = 0;
  const claimer = async (i: number) => {
    while (performance.now() < until) {
      const got = (await queue.claim(i, batch)).length;
      claimed += got;
    }
  };
  await Promise.all(Array.from({ length: CLAIMERS }, (_, i) => claimer(i)));
  return Math.round(claimed / SECONDS);
}

async function sizes(server: PostgresServer, database: string): Promise<{ table: number; indexes: number }> {
  const [size] = await server.query(
    `select pg_table_size('jobs')::float as table, pg_indexes_size('jobs')::float as indexes`,
    database,
  );
  return size as { table: number; indexes: number };
}

async function indexSizes(
  server: PostgresServer,
  database: string,
): Promise<{ name: string; bytes: number }[]> {
  const rows = await server.query(
    `select indexrelname as name, pg_relation_size(indexrelid)::float as bytes
     from pg_stat_user_indexes where relname = 'jobs' order by 2 desc`,
    database,
  );
  return rows as { name: string; bytes: number }[];
}

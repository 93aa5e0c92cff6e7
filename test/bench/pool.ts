import { parseArgs } from 'node:util';
import { PostgresServer } from '../database/postgres-server.ts';
import { measureGateway } from './pool/gateway.ts';
import { startGraphileWorker } from './pool/graphile-worker.ts';
import { measureLargeQueue } from './pool/large-queue.ts';
import { measureManyWorkers } from './pool/many-workers.ts';
import { startOverhead } from './pool/overhead.ts';
import { installPeers } from './pool/peers.ts';
import { PgBossQueue } from './pool/pg-boss.ts';
import type { BenchQueue } from './pool/queue.ts';
import { SlipwayQueue } from './pool/slipway-queue.ts';

const JOBS = 4_000;
/** Workers that ask at once, each over a connection of its own. */
const CLAIMERS = 8;

/**
 * The queue of jobs on a PostgreSQL that syncs what it commits: how many jobs a second are queued, claimed (one or ten at
 * a time) and ended, and how long an idle pool takes from the request to the start. `--large N` measures it with N jobs
 * that are over instead, and `--waiting` (50,000) that wait; `--workers N` what N idle workers ask of the
 * database; `--gateway` what a gateway adds to a worker's answers; `--peers` puts pg-boss and
 * graphile-worker beside it, which are fetched for that.
 */
export async function run(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      peers: { type: 'boolean' },
      large: { type: 'string' },
      waiting: { type: 'string', default: '50000' },
      workers: { type: 'string' },
      gateway: { type: 'boolean' },
    },
  });
  if (values.gateway === true) return await measureGateway();
  await using server = await PostgresServer.start({ durable: true });
  if (values.large !== undefined) {
    const [finished, waiting] = [Number(values.large), Number(values.waiting)];
    return await measureLargeQueue(server, { finished, waiting });
  }
  if (values.workers !== undefined) return await measureManyWorkers(server, Number(values.workers));
  const peers = values.peers === true ? installPeers() : undefined;
  const queues: (() => Promise<BenchQueue>)[] = [
    async () => await SlipwayQueue.open(await server.createDatabase(), CLAIMERS),
  ];
  if (peers) queues.push(async () => await PgBossQueue.open(await server.createDatabase(), CLAIMERS, peers));
  for (const open of queues) {
    await using queue = await open();
    await measure(queue);
  }
  if (peers)
    await startGraphileWorker(await server.createDatabase(), { jobs: JOBS, claimers: CLAIMERS, peers });
  await startOverhead(await server.createDatabase());
}

async function measure(queue: BenchQueue): Promise<void> {
  const say = (what: string, seconds: number) => {
    const rate = Math.round(JOBS / seconds).toLocaleString('en');
    process.stdout.write(`${queue.name.padEnd(18)} ${what.padEnd(26)} ${rate.padStart(8)} jobs/s\n`);
  };
  say('queued, 100 at a time', await seconds(() => queue.enqueue(JOBS)));
  const claimed: string[] = [];
  const half = JOBS / 2;
  const one = await seconds(() => claimAll(queue, half, 1, claimed));
  say('claimed, 1 at a time', one * 2);
  const ten = await seconds(() => claimAll(queue, half, 10, claimed));
  say('claimed, 10 at a time', ten * 2);
  if (new Set(claimed).size !== JOBS)
    throw new Error(`${queue.name}: ${claimed.length} claims of ${JOBS} jobs`);
  say('ended, 1 at a time', await seconds(() => endAll(queue, claimed)));
}

async function claimAll(queue: BenchQueue, count: number, batch: number, claimed: string[]): Promise<void> {
  let left = count;
  const claimer = async (i: number) => {
    while (left > 0) {
      const wanted = Math.min(batch, left);
      left -= wanted;
      for (let got = 0; got < wanted; ) {
        const ids = await queue.claim(i, wanted - got);
        claimed.push(...ids);
        got += ids.length;
      }
    }
  };
  await Promise.all(Array.from({ length: CLAIMERS }, (_, i) => claimer(i)));
}

async function endAll(queue: BenchQueue, ids: readonly string[]): Promise<void> {
  let next = 0;
  const ender = async () => {
    while (next < ids.length) await queue.end(ids[next++]!);
  };
  await Promise.all(Array.from({ length: CLAIMERS }, ender));
}

async function seconds(task: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await task();
  return (performance.now() - began) / 1000;
}

import type { Peers } from './peers.ts';

interface Runner {
  readonly promise: Promise<void>;
  stop(): Promise<void>;
}

interface Graphile {
  run(options: object): Promise<Runner>;
  makeWorkerUtils(options: object): Promise<{
    migrate(): Promise<void>;
    addJobs(jobs: readonly object[]): Promise<unknown>;
    release(): Promise<void>;
  }>;
}

/** graphile-worker has no claims that others could make: it is measured from the first start to the last end. */
export async function startGraphileWorker(
  url: string,
  { jobs, claimers, peers }: { jobs: number; claimers: number; peers: Peers },
): Promise<void> {
  const graphile = (await peers('graphile-worker')) as unknown as Graphile & { default?: Graphile };
  const { run, makeWorkerUtils } = graphile.default ?? graphile;
  const utils = await makeWorkerUtils({ connectionString: url });
  await utils.migrate();
  const payload = { image: 'busybox', command: ['true'] };
  const queued = performance.now();
  for (let i = 0; i < jobs / 100; i++) {
    await utils.addJobs(Array.from({ length: 100 }, () => ({ identifier: 'job', payload })));
  }
  say('queued, 100 at a time', jobs, queued);
  const silent = { scope: {}, info() {}, debug() {}, warn() {}, error() {}, isDebugEnabled: false };
  const logger = { ...silent, scope: () => logger };
  const all = Promise.withResolvers<void>();
  let done = 0;
  const began = performance.now();
  const runner = await run({
    connectionString: url,
    concurrency: claimers,
    maxPoolSize: claimers + 1,
    noHandleSignals: true,
    logger,
    taskList: {
      async job() {
        if (++done === jobs) all.resolve();
      },
    },
  });
  await all.promise;
  say('claimed and ended, 1 each', jobs, began);
  await runner.stop();
  await utils.release();
}

function say(what: string, jobs: number, since: number): void {
  const rate = Math.round((jobs * 1000) / (performance.now() - since)).toLocaleString('en');
  process.stdout.write(`${'graphile 0.18'.padEnd(18)} ${what.padEnd(26)} ${rate.padStart(8)} jobs/s\n`);
}

import { setTimeout as sleep } from 'node:timers/promises';
import { busyboxArchive } from '../images/busybox-image.ts';
import type { S3Access } from '../s3/s3-server.ts';
import { faultsOf, randomNumbers } from './faults.ts';
import { Load } from './load.ts';
import { type PoolUnderTest, startPool } from './pool-under-test.ts';
import { containersOf, endOf, verify } from './verify.ts';

export interface ChaosOptions {
  readonly seconds: number;
  readonly gateways: number;
  readonly workers: number;
  readonly seed: number;
  /** Milliseconds between two jobs. */
  readonly every: number;
  readonly s3: S3Access;
  readonly tell?: (line: string) => void;
  /** Ends it early: what it has started is taken away. */
  readonly signal?: AbortSignal;
}

export interface ChaosResult {
  readonly seed: number;
  readonly seconds: number;
  readonly jobs: { readonly acknowledged: number; readonly succeeded: number; readonly askedAgain: number };
  readonly faults: Readonly<Record<string, number>>;
  /** Attempts beyond the first. */
  readonly retries: number;
  /** What came of attempts whose worker had the job no more. */
  readonly duplicatesPrevented: {
    /** Thrown away by the worker, once it knew. */
    readonly byWorkers: number;
    /** Told to the pool as the job's end, and not heard. */
    readonly byGateways: number;
  };
  /** Seconds until the queue was empty after the last fault. */
  readonly drained: number;
  readonly problems: readonly string[];
}

/** Milliseconds that a fault lasts, often longer than a lease, and the pause before the next. */
const FAULT = { least: 500, most: 10_000 };
const PAUSE = 1_500;

/**
 * Takes parts of a pool away in random order while jobs are asked for, and sees that each job that was acknowledged
 * succeeds, once, and that nothing is left.
 */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seconds, seed, tell = () => {}, signal = new AbortController().signal } = options;
  const random = randomNumbers(seed);
  await using pool = await startPool(options);
  const keepers = await startKeepers(pool);
  const load = new Load(pool, random);
  const stopping = new AbortController();
  const asking = load.run(options.every, stopping.signal);
  const counts = await causeFaults(pool, { seconds, random, tell, signal });
  stopping.abort();
  await asking;
  signal.throwIfAborted();
  const began = performance.now();
  tell(`${load.acknowledged.length} jobs, all is whole again: the queue drains`);
  await endOf(pool, { tell, signal });
  const drained = Math.round((performance.now() - began) / 1000);
  const { problems, succeeded, retries } = await verify(pool, load.acknowledged, random);
  problems.push(...(await changedKeepers(pool, keepers)));
  return {
    seed,
    seconds,
    jobs: { acknowledged: load.acknowledged.length, succeeded, askedAgain: load.refused },
    faults: counts,
    retries,
    duplicatesPrevented: fenced(pool),
    drained,
    problems,
  };
}

/** One fault after the other, now and then two at a time. */
async function causeFaults(
  pool: PoolUnderTest,
  {
    seconds,
    random,
    tell,
    signal,
  }: {
    seconds: number;
    random: () => number;
    tell: (line: string) => void;
    signal: AbortSignal;
  },
): Promise<Record<string, number>> {
  const faults = faultsOf(pool);
  const counts: Record<string, number> = {};
  const until = performance.now() + seconds * 1000;
  const underWay = new Map<string, Promise<void>>();
  while (performance.now() < until && !signal.aborted) {
    const { kind, part, cause } = faults[Math.floor(random() * faults.length)]!;
    const pause = FAULT.least + random() * (FAULT.most - FAULT.least);
    if (!underWay.has(part) && underWay.size < 2) {
      counts[kind] = (counts[kind] ?? 0) + 1;
      tell(`${kind} for ${Math.round(pause)} ms (${part})`);
      const over = cause(pause).finally(() => underWay.delete(part));
      over.catch(() => undefined);
      underWay.set(part, over);
    }
    await sleep(random() * PAUSE * 2);
  }
  await Promise.all(underWay.values());
  return counts;
}

/** A container on each worker that has nothing to do with all this. */
async function startKeepers({ workers }: PoolUnderTest): Promise<string[]> {
  const started: string[] = [];
  for (const { process: worker } of workers) {
    await worker.dockerOk('load', '--input', await busyboxArchive());
    await worker.dockerOk(
      'run',
      '--detach',
      '--name',
      'keeper',
      '--network',
      'none',
      'busybox',
      'sleep',
      '100000',
    );
    started.push(await stateOf(worker));
  }
  return started;
}

async function changedKeepers({ workers }: PoolUnderTest, keepers: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  for (const [i, { name, process: worker }] of workers.entries()) {
    const now = await stateOf(worker);
    if (now !== keepers[i]) problems.push(`the container on ${name} was ${keepers[i]}, and is ${now}`);
    const left = await containersOf(worker);
    if (left.length > 0) problems.push(`${name} still has ${left.join(', ')}`);
  }
  return problems;
}

function stateOf(worker: { dockerOk(...args: string[]): Promise<string> }): Promise<string> {
  return worker.dockerOk(
    'inspect',
    '--format',
    '{{.State.Status}} {{.State.Pid}} {{.State.StartedAt}}',
    'keeper',
  );
}

function fenced({ gateways, workers }: PoolUnderTest): ChaosResult['duplicatesPrevented'] {
  const times = (members: PoolUnderTest['workers'], said: string) =>
    members.reduce((sum, { process: member }) => sum + member.output.split(said).length - 1, 0);
  return {
    byWorkers: times(workers, 'what came of it here is thrown away'),
    byGateways: times(gateways, 'what a worker said of a job that is not its own was not heard'),
  };
}

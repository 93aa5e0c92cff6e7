import { setTimeout as sleep } from 'node:timers/promises';
import type { Member, PoolUnderTest } from './pool-under-test.ts';

/** Something that goes wrong, and is right again when it resolves. */
interface Fault {
  readonly kind: string;
  /** What it happens to: no part has two faults at once, as what is frozen cannot be started again. */
  readonly part: string;
  readonly cause: (pause: number) => Promise<void>;
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What may go wrong in a pool. */
export function faultsOf({ postgres, s3, gateways, workers }: PoolUnderTest): Fault[] {
  const ofMembers = (what: string, members: readonly Member[]) =>
    members.flatMap((member): Fault[] => [
      { kind: `kill -9 of a ${what}`, part: member.name, cause: (pause) => killed(member, pause) },
      { kind: `freeze of a ${what}`, part: member.name, cause: (pause) => frozen(member, pause) },
      { kind: `partition of a ${what}`, part: member.name, cause: (pause) => parted(member, pause) },
    ]);
  const database = { part: 'database' };
  const storage = { part: 'S3' };
  return [
    ...ofMembers('worker', workers),
    ...ofMembers('gateway', gateways),
    {
      ...database,
      kind: 'kill -9 of the database',
      async cause(pause) {
        await postgres.stop('SIGKILL');
        await sleep(pause / 2);
        await postgres.resume();
      },
    },
    {
      ...database,
      kind: 'freeze of the database',
      async cause(pause) {
        using _ = postgres.freeze();
        await sleep(pause);
      },
    },
    {
      ...storage,
      kind: 'S3 refuses connections',
      async cause(pause) {
        await s3.refuse();
        await sleep(pause);
        await s3.resume();
      },
    },
    {
      ...storage,
      kind: 'S3 loses answers',
      async cause(pause) {
        s3.breakBy((operation) => (operation === 'PutObject' ? { kind: 'lost-answer' } : undefined));
        await sleep(pause);
        s3.heal();
      },
    },
    {
      ...storage,
      kind: 'S3 does not answer',
      async cause(pause) {
        s3.breakBy(() => ({ kind: 'slow', milliseconds: pause }));
        await sleep(pause);
        s3.heal();
      },
    },
  ];
}

async function killed({ process: slipway }: Member, pause: number): Promise<void> {
  await slipway.stop('SIGKILL');
  await sleep(pause / 3);
  // One that does not come up while all else is away is started again, as an init system does.
  for (let tries = 1; ; tries++) {
    try {
      return await slipway.start();
    } catch (error) {
      if (tries === 20) throw error;
      await slipway.stop('SIGKILL');
      await sleep(500);
    }
  }
}

async function frozen({ process: slipway }: Member, pause: number): Promise<void> {
  process.kill(slipway.pid, 'SIGSTOP');
  await sleep(pause);
  process.kill(slipway.pid, 'SIGCONT');
}

async function parted({ way }: Member, pause: number): Promise<void> {
  way.cut();
  await sleep(pause);
  way.heal();
}

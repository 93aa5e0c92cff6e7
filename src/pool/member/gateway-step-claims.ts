import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { canceled } from '#errors/errors.ts';
import type { Sharing } from '#worker/build/cache/cache-store.ts';
import type { ClaimedElsewhere, StepClaim, StepClaims } from '#worker/build/solve/step-claims.ts';
import type { Claimant } from '../jobs/job.ts';
import type { StepEnd, StepTry } from '../steps/step-claims-repository.ts';

/** What is needed of a worker's place in its pool. */
interface PoolLink {
  /** The lease; undefined while there is none. */
  readonly claimant: Claimant | undefined;
  /** Asks as of the lease. Throws what the pool says, `unavailable`. */
  ask(method: 'POST', path: string, body: unknown): Promise<unknown>;
}

/** A step does not begin later than that for being asked about, in milliseconds… */
const PATIENCE = 2_000;
/** …and after a failure nobody is asked for so long. */
const SILENCE = 15_000;
/** Who waits for a step goes on waiting while gateways do not answer, so often. */
const TRIES = 5;
const RETRY = 1_000;

const taken = z.object({
  state: z.enum(['own', 'claimed', 'free', 'alone']),
  worker: z.string().optional(),
  attempt: z.string().optional(),
});
const wanted = z.object({ wanted: z.boolean() });

/** The claims of a worker's engines, by way of its gateway. A worker serves before it has joined its pool: `use` comes later. */
export class GatewayStepClaims {
  #pool: PoolLink | undefined;
  #silentUntil = 0;

  /** From now on asks this. */
  use(pool: PoolLink): void {
    this.#pool = pool;
  }

  /** Of those who share one cache, which `scope` names. */
  of(scope: string): StepClaims {
    return { take: (key, { signal }) => this.#take({ scope, key, attempt: randomUUID() }, signal) };
  }

  async #take(step: StepTry, signal: AbortSignal): Promise<StepClaim | ClaimedElsewhere | undefined> {
    const pool = this.#pool;
    if (!pool?.claimant || performance.now() < this.#silentUntil) return undefined;
    const { epoch } = pool.claimant;
    const own = new OwnClaim({ pool, epoch }, step);
    const asked = pool.ask('POST', '/steps/take', step).then((answer) => taken.parse(answer));
    const answer = await patiently(asked, PATIENCE, signal);
    if (!answer) {
      this.#silentUntil = performance.now() + SILENCE;
      asked.then(() => own.undone('left')).catch(() => {});
    }
    if (signal.aborted) throw canceled();
    if (answer?.state === 'own') return own;
    if (!answer) return undefined;
    const { state, worker = 'another worker', attempt = step.attempt } = answer;
    const wait = async (options: { signal: AbortSignal }) =>
      state === 'claimed' ? await waited(pool, { ...step, attempt }, options.signal) : 'alone';
    return { isOwn: false, worker, wait };
  }
}

class OwnClaim implements StepClaim {
  readonly isOwn = true;
  readonly #lease: { readonly pool: PoolLink; readonly epoch: number };
  readonly #step: StepTry;

  constructor(lease: { pool: PoolLink; epoch: number }, step: StepTry) {
    this.#lease = lease;
    this.#step = step;
  }

  done(sharing: Sharing | undefined): void {
    void this.#share(sharing).then(() => this.#end('done'));
  }

  undone(why: 'left' | 'failed'): void {
    void this.#end(why);
  }

  /** Until it is there, others may come to wait for it. */
  async #share(sharing: Sharing | undefined): Promise<void> {
    if (!sharing) return;
    const over = new AbortController();
    const settled = sharing.settled.finally(() => over.abort());
    while (!over.signal.aborted) {
      const asked = this.#lease.pool.ask('POST', '/steps/finished', this.#step);
      const answer = await asked.then((said) => wanted.parse(said)).catch(() => undefined);
      if (answer?.wanted) {
        sharing.hurry();
        break;
      }
      await sleep(RETRY, undefined, { signal: over.signal, ref: false }).catch(() => undefined);
    }
    await settled;
  }

  /** Once the lease is another one, or none, the claim is over by itself. */
  async #end(outcome: StepEnd): Promise<void> {
    const { pool, epoch } = this.#lease;
    while (pool.claimant?.epoch === epoch) {
      try {
        await pool.ask('POST', '/steps/end', { ...this.#step, outcome });
        return;
      } catch {
        await sleep(RETRY, undefined, { ref: false });
      }
    }
  }
}

async function waited(pool: PoolLink, step: StepTry, signal: AbortSignal): Promise<'free' | 'alone'> {
  let current = step;
  for (let failures = 0; failures < TRIES; ) {
    const asked = pool.ask('POST', '/steps/wait', current).then((answer) => taken.parse(answer));
    const answer = await patiently(asked, undefined, signal);
    if (signal.aborted) throw canceled();
    if (answer?.state === 'free' || answer?.state === 'alone') return answer.state;
    if (answer) current = { ...current, attempt: answer.attempt ?? current.attempt };
    failures = answer ? 0 : failures + 1;
    if (!answer) await sleep(RETRY, undefined, { signal }).catch(() => undefined);
  }
  return 'alone';
}

/** undefined: it failed, or did not come in time, or is not waited for any more. */
async function patiently<T>(
  asked: Promise<T>,
  patience: number | undefined,
  signal: AbortSignal,
): Promise<T | undefined> {
  const given = Promise.withResolvers<undefined>();
  const give = () => given.resolve(undefined);
  const timer = patience === undefined ? undefined : setTimeout(give, patience);
  signal.addEventListener('abort', give);
  try {
    return await Promise.race([asked.catch(() => undefined), given.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', give);
  }
}

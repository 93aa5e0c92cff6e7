import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Patience, unlessGivenUp } from '#async/unless-given-up.ts';
import { canceled } from '#errors/errors.ts';
import type { Sharing } from '#worker/build/cache/cache-store.ts';
import type { ClaimedElsewhere, StepClaim, StepClaims } from '#worker/build/solve/step-claims.ts';
import type { StepEnd, StepTry } from '../steps/step-claims-repository.ts';
import { type PoolLink, StepReports } from './step-reports.ts';

/** A step does not begin later than that for being asked about, in milliseconds… */
const PATIENCE = 2_000;
/** …and after a failure nobody is asked for so long. */
const SILENCE = 15_000;
/** Who waits for a step goes on waiting while gateways do not answer, so often. */
const TRIES = 5;
const RETRY = 1_000;

const taken = z.object({
  state: z.enum(['own', 'claimed', 'free', 'alone']),
  /** Somebody else had it before. */
  again: z.boolean().optional(),
  worker: z.string().optional(),
  attempt: z.string().optional(),
});

/** The claims of a worker's engines, by way of its gateway. A worker serves before it has joined its pool: `use` comes later. */
export class GatewayStepClaims {
  #pool: PoolLink | undefined;
  #reports: StepReports | undefined;
  #silentUntil = 0;

  /** From now on asks this. */
  use(pool: PoolLink): void {
    this.#pool = pool;
    this.#reports = new StepReports(pool);
  }

  /** Of those who share one cache, which `scope` names. */
  of(scope: string): StepClaims {
    return { take: (key, { signal }) => this.#take({ scope, key, attempt: randomUUID() }, signal) };
  }

  async #take(step: StepTry, signal: AbortSignal): Promise<StepClaim | ClaimedElsewhere | undefined> {
    const [pool, reports] = [this.#pool, this.#reports];
    if (!pool?.claimant || !reports || performance.now() < this.#silentUntil) return undefined;
    const { epoch } = pool.claimant;
    const asked = pool.ask('POST', '/steps/take', step).then((answer) => taken.parse(answer));
    const answer = await answerOf(asked, { within: PATIENCE, signal });
    if (!answer) {
      this.#silentUntil = performance.now() + SILENCE;
      asked.then(() => reports.end(step.attempt, epoch, 'left')).catch(() => {});
    }
    if (signal.aborted) throw canceled();
    if (!answer) return undefined;
    const { state, again = false, worker = 'another worker', attempt = step.attempt } = answer;
    if (state === 'own') return new OwnClaim(reports, { attempt: step.attempt, epoch, mayBeDone: again });
    const wait = async (options: { signal: AbortSignal }) =>
      state === 'claimed' ? await waited(pool, { ...step, attempt }, options.signal) : 'alone';
    return { isOwn: false, worker, wait };
  }
}

class OwnClaim implements StepClaim {
  readonly isOwn = true;
  readonly mayBeDone: boolean;
  readonly #reports: StepReports;
  readonly #attempt: string;
  readonly #epoch: number;

  constructor(reports: StepReports, claim: { attempt: string; epoch: number; mayBeDone: boolean }) {
    this.mayBeDone = claim.mayBeDone;
    this.#reports = reports;
    this.#attempt = claim.attempt;
    this.#epoch = claim.epoch;
  }

  done(sharing: Sharing | undefined): void {
    // Until it is there, others may come to wait for it.
    if (sharing) this.#reports.finish(this.#attempt, this.#epoch, () => sharing.hurry());
    void Promise.resolve(sharing?.settled).finally(() => this.#end('done'));
  }

  undone(why: 'left' | 'failed'): void {
    this.#end(why);
  }

  #end(outcome: StepEnd): void {
    this.#reports.end(this.#attempt, this.#epoch, outcome);
  }
}

async function waited(pool: PoolLink, step: StepTry, signal: AbortSignal): Promise<'free' | 'alone'> {
  let current = step;
  for (let failures = 0; failures < TRIES; ) {
    const asked = pool.ask('POST', '/steps/wait', current).then((answer) => taken.parse(answer));
    const answer = await answerOf(asked, { signal });
    if (signal.aborted) throw canceled();
    if (answer?.state === 'free' || answer?.state === 'alone') return answer.state;
    if (answer) current = { ...current, attempt: answer.attempt ?? current.attempt };
    failures = answer ? 0 : failures + 1;
    if (!answer) await sleep(RETRY, undefined, { signal }).catch(() => undefined);
  }
  return 'alone';
}

/** undefined: it failed, or did not come in time, or is not waited for any more. */
async function answerOf<T>(asked: Promise<T>, patience: Patience): Promise<T | undefined> {
  return await unlessGivenUp(asked, patience).catch(() => undefined);
}

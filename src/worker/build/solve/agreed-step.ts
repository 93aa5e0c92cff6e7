import { isKind } from '#errors/errors.ts';
import type { Sharing } from '../cache/cache-store.ts';
import type { Outcome } from './flights.ts';
import type { Ref } from './ref.ts';
import type { StepWatcher } from './step-broadcast.ts';
import type { ClaimedElsewhere, StepClaim, StepClaims } from './step-claims.ts';

type StepOutcome = Outcome<readonly Ref[]>;

/** A step whose inputs are there. */
export interface AgreedStep {
  readonly key: string;
  readonly signal: AbortSignal;
  readonly progress: Pick<StepWatcher, 'started' | 'status' | 'completed'>;
  /** Runs a task when it is this step's turn among those of this worker. */
  inTurn<T>(task: () => Promise<T>): Promise<T>;
  /** What somebody has made of it by now, here or elsewhere. */
  find(): Promise<StepOutcome | undefined>;
  perform(): Promise<{ readonly outcome: StepOutcome; readonly sharing: Sharing | undefined }>;
}

/**
 * Does a step, unless another worker does: then its outcome is waited for.
 *
 * Nobody waits in a circle. Who has a claim only does the step, for which all is there, and asks for no other claim
 * meanwhile; who waits for one has neither a claim nor a turn, so that steps with claims get theirs. And nobody waits for
 * ever: a claim ends with the lease of its worker, and what takes long to be shared is done again.
 */
export async function runAgreed(claims: StepClaims, step: AgreedStep): Promise<StepOutcome> {
  const { key, signal, progress } = step;
  for (let isAlone = false; ; ) {
    const done = await step.inTurn(async () => {
      const claim = isAlone ? undefined : await claims.take(key, { signal });
      if (!claim) return (await step.perform()).outcome;
      return claim.isOwn ? await claimed(claim, step) : claim;
    });
    if (!('isOwn' in done)) return done;
    isAlone = (await waited(done, step)) === 'alone';
    const found = await step.find();
    if (!found) continue;
    progress.completed(new Date(), { cached: true });
    return found;
  }
}

async function claimed(claim: StepClaim, step: AgreedStep): Promise<StepOutcome> {
  try {
    const found = claim.mayBeDone ? await step.find() : undefined;
    if (found) {
      claim.undone('left');
      step.progress.completed(new Date(), { cached: true });
      return found;
    }
    const { outcome, sharing } = await step.perform();
    claim.done(sharing);
    return outcome;
  } catch (error) {
    claim.undone(isKind(error, 'canceled') ? 'left' : 'failed');
    throw error;
  }
}

/** Clients see it as a part of the step. */
async function waited(elsewhere: ClaimedElsewhere, { signal, progress }: AgreedStep) {
  const started = new Date();
  const name = `waiting for ${elsewhere.worker}, which does this step`;
  const show = (over: { completed?: Date }) =>
    progress.status({ id: name, name, current: 0, total: 0, timestamp: new Date(), started, ...over });
  progress.started(started);
  show({});
  try {
    return await elsewhere.wait({ signal });
  } finally {
    show({ completed: new Date() });
  }
}

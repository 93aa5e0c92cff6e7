import { expect, it } from 'vitest';
import { canceled, invalid } from '#errors/errors.ts';
import { type AgreedStep, runAgreed } from '#worker/build/solve/agreed-step.ts';
import { FairSlots } from '#worker/build/solve/fair-slots.ts';
import { Lease } from '#worker/build/solve/lease.ts';
import { EMPTY } from '#worker/build/solve/ref.ts';
import type { ClaimedElsewhere, StepClaim, StepClaims } from '#worker/build/solve/step-claims.ts';

type Answer = StepClaim | ClaimedElsewhere | undefined;

const outcome = () => ({ value: [EMPTY], lease: new Lease(async () => {}) });
const sharing = { settled: Promise.resolve(), hurry: () => {} };

/** What happened, in order. */
function world(answers: readonly Answer[], options: Partial<AgreedStep> = {}) {
  const told: string[] = [];
  const left = [...answers];
  const claims: StepClaims = {
    take: async () => {
      told.push('asked');
      return left.shift();
    },
  };
  const slots = new FairSlots(1);
  const { signal } = new AbortController();
  const step: AgreedStep = {
    key: 'key',
    signal,
    progress: {
      started: () => told.push('started'),
      status: ({ name, completed }) => told.push(completed ? 'waited' : name),
      completed: (_at, { cached }) => told.push(cached ? 'cached' : 'completed'),
    },
    inTurn: (task) => slots.run('owner', signal, task),
    find: async () => undefined,
    perform: async () => {
      told.push('performed');
      return { outcome: outcome(), sharing };
    },
    ...options,
  };
  const own: StepClaim = {
    isOwn: true,
    mayBeDone: false,
    done: (how) => told.push(how === sharing ? 'shares' : 'done'),
    undone: (why) => told.push(why),
  };
  return { told, claims, step, own, slots };
}

function elsewhere(how: 'free' | 'alone', meanwhile: () => Promise<void> = async () => {}): ClaimedElsewhere {
  const wait = async () => {
    await meanwhile();
    return how;
  };
  return { isOwn: false, worker: 'w2', wait };
}

const WAITED = ['started', 'waiting for w2, which does this step', 'waited'];

it('does a step that it has claimed, and shares it', async () => {
  const { told, claims, step, own } = world([]);
  claims.take = async () => own;
  await runAgreed(claims, step);
  expect(told).toEqual(['performed', 'shares']);
});

it('does a step where nobody can be asked', async () => {
  const { told, claims, step } = world([undefined]);
  await runAgreed(claims, step);
  expect(told).toEqual(['asked', 'performed']);
});

it('takes what another worker has made of it', async () => {
  const find = async () => outcome();
  const { told, claims, step } = world([elsewhere('alone')], { find });
  await runAgreed(claims, step);
  expect(told).toEqual(['asked', ...WAITED, 'cached']);
});

it('does not do what was shared before it had the claim', async () => {
  const { told, claims, step, own } = world([], { find: async () => outcome() });
  claims.take = async () => ({ ...own, mayBeDone: true });
  await runAgreed(claims, step);
  expect(told).toEqual(['left', 'cached']);
});

it('claims what another worker has left, and does without a claim what that could not', async () => {
  const left = world([elsewhere('free'), elsewhere('alone')]);
  await runAgreed(left.claims, left.step);
  expect(left.told).toEqual(['asked', ...WAITED, 'asked', ...WAITED, 'performed']);
});

it('fails, or is given up, as the step is', async () => {
  for (const [error, why] of [
    [invalid('no'), 'failed'],
    [canceled(), 'left'],
  ] as const) {
    const perform = async () => {
      throw error;
    };
    const { told, claims, step, own } = world([], { perform });
    claims.take = async () => own;
    await expect(runAgreed(claims, step)).rejects.toBe(error);
    expect(told).toEqual([why]);
  }
});

it('waits without a turn, so that others get on', async () => {
  const { told, claims, step, slots } = world([]);
  const other = () => slots.run('other', step.signal, async () => void told.push('the other'));
  claims.take = async () => elsewhere('alone', other);
  await runAgreed(claims, step);
  expect(told).toEqual([...WAITED.slice(0, 2), 'the other', 'waited', 'performed']);
});

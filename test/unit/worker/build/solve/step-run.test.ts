import { expect, it } from 'vitest';
import type { CacheStore } from '#worker/build/cache/cache-store.ts';
import type { ExecOp } from '#worker/build/llb/op.ts';
import { vertex } from '#worker/build/llb/vertex.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import { FairSlots } from '#worker/build/solve/fair-slots.ts';
import { Lease } from '#worker/build/solve/lease.ts';
import type { NativeSteps } from '#worker/build/solve/native-steps.ts';
import type { OpDrivers } from '#worker/build/solve/op-drivers.ts';
import { EMPTY } from '#worker/build/solve/ref.ts';
import { StepBroadcast } from '#worker/build/solve/step-broadcast.ts';
import type { StepClaims } from '#worker/build/solve/step-claims.ts';
import { runStep } from '#worker/build/solve/step-run.ts';

const op: ExecOp = {
  kind: 'exec',
  args: ['true'],
  env: [],
  cwd: '/',
  user: '',
  network: 'default',
  security: 'sandbox',
  mounts: [],
};

const request = {
  vertex: vertex(op, [], { metadata: { name: 'RUN true' } }),
  inputs: [],
  leases: [],
  contentKey: 'key',
  limits: { entitlements: new Set<never>() },
  owner: 'build',
};

/** A step for another platform, and what happens with it, in order. */
async function run(natives: Pick<NativeSteps, 'run'>): Promise<string[]> {
  const told: string[] = [];
  const cache: CacheStore = {
    find: async () => new Map(),
    load: async () => undefined,
    link: async () => undefined,
    async save() {
      told.push('kept');
      return new Lease(async () => {});
    },
  };
  const claims: StepClaims = {
    async take(key) {
      told.push(`claimed ${key}`);
      return {
        isOwn: true,
        mayBeDone: false,
        done: () => told.push('done'),
        undone: () => told.push('undone'),
      };
    },
  };
  const exec = {
    async run() {
      told.push('run here');
      return [EMPTY];
    },
  };
  const progress = new StepBroadcast();
  progress.add({
    started: () => told.push('started'),
    status: () => undefined,
    log: async () => undefined,
    completed: () => told.push('completed'),
  });
  const ports = {
    drivers: { exec } as unknown as OpDrivers,
    cache,
    slots: new FairSlots(1),
    claims,
    natives: { isForeign: () => true, ...natives },
  };
  const { signal } = new AbortController();
  const { lease } = await runStep(ports, request, { signal, progress, session: {} as BuildSession });
  await lease.release();
  return told;
}

it('a step that another worker does has neither a claim nor a turn here', async () => {
  const natives = { run: async () => ({ outputs: [EMPTY], reused: false }) };
  expect(await run(natives)).toEqual(['started', 'completed', 'kept']);
});

it('a step for which there is no other worker is agreed on as any other', async () => {
  const told = await run({ run: async () => undefined });
  expect(told).toEqual(['started', 'claimed key', 'started', 'run here', 'completed', 'kept', 'done']);
});

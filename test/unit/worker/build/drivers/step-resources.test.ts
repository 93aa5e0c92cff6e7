import { describe, expect, it } from 'vitest';
import { checkOwnLimits, stepResources, tighter } from '#worker/build/drivers/exec/step-resources.ts';
import type { StepBounds } from '#worker/build/solve/op-driver.ts';

const NONE: StepBounds = { memory: null, cpus: null, pids: null, unconfined: true };
const MEMORY = { ...NONE, memory: 1000 };
const CPUS = { ...NONE, cpus: 1.5 };

describe('what a step may use', () => {
  it('is what it asks for, else what its build does', () => {
    expect(stepResources(undefined, {})).toBeUndefined();
    expect(stepResources(undefined, { bounds: NONE })).toBeUndefined();
    expect(stepResources({ memory: 5 }, { resources: { memory: 7, cpuShares: 3 }, bounds: NONE })).toEqual({
      memory: 5,
      cpuShares: 3,
    });
  });

  it('is what its worker gives where nobody asks', () => {
    expect(
      stepResources(undefined, { bounds: { memory: 1000, cpus: 0.5, pids: 9, unconfined: true } }),
    ).toEqual({
      memory: 1000,
      memorySwap: 1000,
      cpuQuota: 50_000,
      cpuPeriod: 100_000,
      pidsLimit: 9,
    });
    expect(stepResources({ cpuPeriod: 20_000 }, { bounds: CPUS })).toMatchObject({ cpuQuota: 30_000 });
    expect(stepResources({ cpuQuota: -1 }, { bounds: CPUS })).toMatchObject({ cpuQuota: 150_000 });
    expect(stepResources({ memory: -1 }, { bounds: MEMORY })).toMatchObject({ memory: 1000 });
    expect(stepResources({ memory: 400 }, { bounds: MEMORY })).toEqual({ memory: 400, memorySwap: 400 });
    expect(stepResources(undefined, { bounds: { ...NONE, cpus: 0.001 } })).toMatchObject({ cpuQuota: 1000 });
  });

  it.each([
    ['memory', { memory: 1001 }, MEMORY],
    ['swap', { memorySwap: -1 }, MEMORY],
    ['swap beside its memory', { memory: 400, memorySwap: 500 }, MEMORY],
    ['time of processors', { cpuQuota: 200_000 }, CPUS],
    ['time of processors in shorter periods', { cpuQuota: 60_000, cpuPeriod: 20_000 }, CPUS],
  ])('is no more %s than its worker gives', (_, asked, bounds) => {
    expect(() => stepResources(asked, { bounds })).toThrow(/^steps may /);
    expect(() => stepResources(undefined, { resources: asked, bounds })).toThrow(/^steps may /);
  });

  it('is bounded by whoever allows less', () => {
    const mine = { memory: 5, cpus: null, pids: 7, unconfined: true };
    const theirs = { memory: 9, cpus: 2, pids: null, unconfined: false };
    expect(tighter(mine, theirs)).toEqual({ memory: 5, cpus: 2, pids: 7, unconfined: false });
  });
});

it('lets only some choose a control group, or limits that others feel', () => {
  const nice = [{ name: 'nice', soft: 1, hard: 1 }];
  const confined = { bounds: { ...NONE, unconfined: false } };
  expect(() => checkOwnLimits(confined, { cgroupParent: '/x' })).toThrow('cgroup-parent is not allowed');
  expect(() => checkOwnLimits(confined, { ulimits: nice })).toThrow('ulimit nice is not allowed');
  checkOwnLimits(confined, { ulimits: [{ name: 'nofile', soft: 1, hard: 1 }] });
  checkOwnLimits({ bounds: NONE }, { cgroupParent: '/x', ulimits: nice });
  checkOwnLimits({}, { cgroupParent: '/x', ulimits: nice });
});

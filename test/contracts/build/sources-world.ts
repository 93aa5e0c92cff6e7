import { readdir } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Ref } from '#worker/build/solve/ref.ts';
import { DriversWorld, SOURCE } from './drivers-world.ts';

/** Drivers for what builds begin with; nothing may be left of them at a test's end. */
export function sourcesWorld() {
  let world: DriversWorld;
  beforeAll(async () => {
    world = await DriversWorld.open();
  });
  beforeEach(() => world.begin());
  afterEach(async () => expect(await world.leftovers()).toEqual([]));
  afterAll(() => world[Symbol.asyncDispose]());

  return {
    get world() {
      return world;
    },
    source: async (identifier: string, attrs: Record<string, string> = {}): Promise<Ref> =>
      (await world.run(SOURCE(identifier, attrs)))[0]!,
    names: async (ref: Ref) => (await world.see(ref, (root) => readdir(root))).sort(),
  };
}

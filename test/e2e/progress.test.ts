import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { differences, goldenFile } from '../progress/golden.ts';
import { projects } from '../progress/projects.ts';
import { World } from '../progress/world.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

// What buildx is told of builds, and shows, against what a real BuildKit tells it (npm run progress -- --record).

let slipway: Slipway;
let world: World;

beforeAll(async () => {
  slipway = await startSlipway({ buildkit: true });
  await seedImages(slipway.registry, ['busybox']);
  world = await World.open(slipway.registry);
  await world.connect('ours', slipway.buildkit);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await slipway?.[Symbol.asyncDispose]();
});

// In their order: what was built before counts.
it.each(projects.filter(({ racy }) => !racy))('$name is told of as BuildKit does', async (project) => {
  for await (const { name, trace } of world.traces('ours', project)) {
    const { unexplained } = differences(name, trace, readFileSync(goldenFile(name), 'utf8'));
    expect(unexplained, `${name}:\n${trace}`).toEqual([]);
  }
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { changesOf, readGolden } from '../llb/golden.ts';
import { llbCases } from '../llb/llb-case.ts';
import { solveCase } from '../llb/solve-case.ts';
import { openSurroundings } from '../llb/surroundings.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** What has no other test for each of its cases. */
const SUBSET = /^(?:copy|diff|merge|mounts|refused)\//;
/** At once; each is a process of buildctl's. */
const AT_ONCE = 4;

let slipway: Slipway;
let surroundings: Awaited<ReturnType<typeof openSurroundings>>;

beforeAll(async () => {
  slipway = await startSlipway({ buildkit: true });
  await seedImages(slipway.registry, ['busybox']);
  surroundings = await openSurroundings(slipway.registry);
});
afterAll(async () => {
  await surroundings?.[Symbol.asyncDispose]();
  await slipway?.[Symbol.asyncDispose]();
});

describe('graphs that buildctl reads from standard input', () => {
  const solve = (one: Parameters<typeof solveCase>[0]) =>
    solveCase(one, { buildctl: buildKitProgram('buildctl'), address: slipway.buildkit, surroundings });

  it('come to what BuildKit makes of them, and fail in its words', async () => {
    const golden = readGolden();
    const base = await solve({ name: 'base', graph: ({ busybox }) => busybox });
    if (!('files' in base)) throw new Error(base.error);
    const wanted: Record<string, unknown> = {};
    const found: Record<string, unknown> = {};
    // `npm run llb` compares all of them with BuildKit itself.
    const cases = llbCases().filter(
      ({ name, fails, differs }) => SUBSET.test(name) && !differs && (fails ?? golden.has(name)),
    );
    const waiting = cases.values();
    const worker = async () => {
      for (const one of waiting) {
        const solved = await solve(one);
        if (one.fails === undefined) {
          wanted[one.name] = golden.get(one.name);
          found[one.name] = 'files' in solved ? changesOf(solved.files, base.files) : solved;
        } else {
          wanted[one.name] = expect.stringContaining(one.fails);
          found[one.name] = 'error' in solved ? solved.error : 'does not fail';
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    expect(Object.keys(wanted).length).toBeGreaterThan(140);
    expect(found).toEqual(wanted);
  });
});

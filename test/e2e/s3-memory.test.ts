import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pushAndWatch } from '../s3/push-memory.ts';
import { s3Environment } from '../s3/s3-environment.ts';
import { sharedS3 } from '../s3/shared-s3.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** A small one of `npm run bench -- s3-memory`. */

const MIB = 2 ** 20;
let slipway: Slipway;

beforeAll(async () => {
  const env = s3Environment(await sharedS3(), { prefix: `memory-${randomUUID()}` });
  slipway = await startSlipway({ command: 'registry', env });
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

it('memory does not grow with what is pushed at once', async () => {
  const registry = { address: slipway.registry, pid: slipway.rolePid('registry') };
  const { tenths } = await pushAndWatch(registry, { uploads: 4, size: 96 * MIB });
  // 4 uploads of 13 MiB that are being gathered, 8 parts of 8 MiB on their way, and what waits to be collected.
  expect(Math.max(...tenths)).toBeLessThan(400 * MIB);
  // What it takes it takes early: pushed were 384 MiB.
  expect(Math.max(...tenths.slice(5))).toBeLessThan(Math.max(...tenths.slice(0, 5)) + 60 * MIB);
});

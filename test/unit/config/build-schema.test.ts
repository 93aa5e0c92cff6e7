import { expect, it } from 'vitest';
import { buildSchema } from '#config/build-schema.ts';

const networks = (refusedNetworks: string[]) =>
  buildSchema.shape.refusedNetworks.safeParse(refusedNetworks).error?.issues.map(({ message }) => message) ??
  [];

it('names the networks that builds may not download from', () => {
  expect(networks(['internal', '10.0.0.0/8', 'fd00::/8'])).toEqual([]);
  expect(networks(['10.0.0.1'])).toEqual([expect.stringContaining('expected a network')]);
});

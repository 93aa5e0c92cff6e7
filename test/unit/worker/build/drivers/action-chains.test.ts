import { expect, it } from 'vitest';
import { chainsOf } from '#worker/build/drivers/file/action-chains.ts';
import type { FileAction } from '#worker/build/llb/op.ts';

const mkdir = (input: number | undefined, output?: number): FileAction => ({
  type: 'mkdir',
  path: '/x',
  mode: 0o755,
  makeParents: false,
  ...(input !== undefined && { input }),
  ...(output !== undefined && { output }),
});

it('joins actions that follow on each other, and no outcome that somebody else needs', () => {
  const actions = [mkdir(0), mkdir(1), mkdir(2, 0), mkdir(3), mkdir(3), mkdir(undefined)];
  expect(chainsOf({ kind: 'file', actions }, 1)).toEqual([
    { input: 0, actions: [0, 1, 2] },
    { input: 3, actions: [3] },
    { input: 3, actions: [4] },
    { input: undefined, actions: [5] },
  ]);
  expect(() => chainsOf({ kind: 'file', actions: [mkdir(1)] }, 1)).toThrow('invalid input index 1');
});

it('is done in time with as many actions as a client can write', () => {
  const actions = Array.from({ length: 100_000 }, (_, at) => mkdir(at, at % 2 === 0 ? 0 : undefined));
  expect(chainsOf({ kind: 'file', actions }, 1)).toHaveLength(50_001);
});

import { describe, expect, it } from 'vitest';
import type { ExecOp, Op } from '#worker/build/llb/op.ts';
import { vertex } from '#worker/build/llb/vertex.ts';
import { explainMiss } from '#worker/build/misses/explain-miss.ts';
import { memoOf, readMemo } from '#worker/build/misses/step-memo.ts';
import type { MissedInput, MissedStep } from '#worker/build/solve/missed-step.ts';

const exec = (change: Partial<ExecOp> = {}): ExecOp => ({
  kind: 'exec',
  args: ['/bin/sh', '-c', 'make'],
  env: ['PATH=/bin', 'VERSION=1'],
  cwd: '/',
  user: '',
  network: 'default',
  security: 'sandbox',
  mounts: [],
  ...change,
});

const file: Op = { kind: 'file', actions: [] };

function input(change: Partial<MissedInput> & { source?: string; name?: string } = {}): MissedInput {
  const { source, name = 'base', ...rest } = change;
  const op: Op = source === undefined ? file : { kind: 'source', identifier: source, attrs: {} };
  return {
    vertex: vertex(op, [], { metadata: { name } }),
    key: 'same',
    byContent: false,
    ran: false,
    resolved: undefined,
    ...rest,
  };
}

function step(op: Op, inputs: readonly MissedInput[] = [], ignoreCache = false): MissedStep {
  const made = vertex(op, [], { metadata: { name: 'RUN make', ignoreCache } });
  const key = JSON.stringify([made.digest, inputs.map((one) => one.key)]);
  return { vertex: made, key, op: made.digest, inputs };
}

const parts = (told: readonly string[] = [], more = 0): Parameters<typeof explainMiss>[2] => ({
  changes: async () => ({ told, more }),
  buildArguments: new Set(['VERSION']),
});

/** Why the second is done after the first, as the first is read back. */
function why(now: MissedStep, before?: MissedStep, given = parts()) {
  return explainMiss(now, before && readMemo(JSON.stringify(memoOf(before))), given);
}

describe('a step is done again, because', () => {
  it.each<[string, MissedStep, MissedStep | undefined]>([
    ['never built before', step(exec()), undefined],
    ['built before, and pruned since', step(exec()), step(exec())],
    ['no cache: --no-cache', step(exec(), [], true), step(exec())],
    ['the command changed', step(exec({ args: ['/bin/sh', '-c', 'make all'] })), step(exec())],
    ['build argument VERSION changed', step(exec({ env: ['PATH=/bin', 'VERSION=2'] })), step(exec())],
    ['build argument VERSION changed', step(exec({ env: ['PATH=/bin'] })), step(exec())],
    ['variable PATH changed', step(exec({ env: ['PATH=/sbin', 'VERSION=1'] })), step(exec())],
    ['the user changed', step(exec({ user: 'nobody' })), step(exec())],
    ['the instruction changed', step(exec({ hostname: 'x' })), step(exec())],
    ['the instruction changed', step({ kind: 'file', actions: [] }), step({ kind: 'merge' })],
    [
      'an input was rebuilt: [2/3] RUN ci',
      step(exec(), [input({ key: 'new', ran: true, name: '[2/3] RUN ci' })]),
      step(exec(), [input()]),
    ],
    [
      'base image docker.io/library/debian:12 is now sha256:aaaaaaaaaaaa…',
      step(exec(), [
        input({
          key: 'new',
          source: `docker-image://docker.io/library/debian:12@sha256:${'a'.repeat(64)}`,
          resolved: `sha256:${'a'.repeat(64)}`,
        }),
      ]),
      step(exec(), [
        input({ source: `docker-image://docker.io/library/debian:12@sha256:${'b'.repeat(64)}` }),
      ]),
    ],
    [
      'base image is now docker.io/library/debian:13, and was docker.io/library/debian:12',
      step(exec(), [input({ key: 'new', source: 'docker-image://docker.io/library/debian:13' })]),
      step(exec(), [input({ source: 'docker-image://docker.io/library/debian:12' })]),
    ],
    [
      `git://host/app.git#main is now ${'c'.repeat(12)}…`,
      step(exec(), [input({ key: 'new', source: 'git://host/app.git#main', resolved: 'c'.repeat(40) })]),
      step(exec(), [input({ source: 'git://host/app.git#main' })]),
    ],
    [
      'the command changed; an input was rebuilt: base',
      step(exec({ args: ['x'] }), [input({ key: 'new', ran: true })]),
      step(exec(), [input()]),
    ],
  ])('%s', async (reason, now, before) => {
    expect(await why(now, before)).toBe(reason);
  });

  it('files that it reads have changed', async () => {
    const before = step(file, [input({ byContent: true, key: 'v1' })]);
    const now = step(file, [input({ byContent: true, key: 'v2', ran: true })]);
    expect(await why(now, before, parts(['content of package.json changed']))).toBe(
      'content of package.json changed',
    );
    expect(await why(now, before, parts(['a was added', 'b was added', 'c was added'], 4))).toBe(
      'a was added, b was added, c was added and 4 more',
    );
    const forgotten = { ...parts(), changes: async () => undefined };
    expect(await why(now, before, forgotten)).toBe('content of base changed');
  });
});

it('keeps nothing that can be read of what a step was given', () => {
  const memo = JSON.stringify(memoOf(step(exec({ env: ['TOKEN=hush-hush'], args: ['curl', 'hush-hush'] }))));
  expect(memo).toContain('TOKEN');
  expect(memo).not.toContain('hush');
});

it('does not know what another version has written', () => {
  expect(readMemo('{"key":1}')).toBeUndefined();
});

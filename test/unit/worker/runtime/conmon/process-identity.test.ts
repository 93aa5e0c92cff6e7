import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { identify, isAlive, signalProcess } from '#worker/runtime/conmon/process-identity.ts';

it('knows a process from another one with its number', async () => {
  const child = spawn('sleep', ['1000']);
  const identity = identify(child.pid!)!;
  expect(isAlive(identity)).toBe(true);
  // What a later process with the same number would look like.
  const impostor = { ...identity, startTime: identity.startTime + 1 };
  expect(isAlive(impostor)).toBe(false);
  expect(signalProcess(impostor, 'SIGKILL')).toBe(false);
  expect(child.exitCode ?? child.signalCode).toBeNull();
  expect(signalProcess(identity, 'SIGKILL')).toBe(true);
  await once(child, 'exit');
  expect(isAlive(identity)).toBe(false);
  expect(signalProcess(identity, 'SIGKILL')).toBe(false);
});

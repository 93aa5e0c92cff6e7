import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InstanceLock } from '#cli/process/instance-lock.ts';

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-lock-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

/** A process of its own that takes the lock and then waits. */
async function anotherHolder() {
  const script = `
    import { InstanceLock } from ${JSON.stringify(new URL('../../../../src/cli/process/instance-lock.ts', import.meta.url))};
    globalThis.lock = await InstanceLock.acquire(process.argv[1]);
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

it('is held by one process, which the other learns of', async () => {
  const child = await anotherHolder();
  await expect(InstanceLock.acquire(folder)).rejects.toThrow(
    `another Slipway (process ${child.pid}) already uses ${folder}`,
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
});

it('ends with a process that is killed', async () => {
  const child = await anotherHolder();
  child.kill('SIGKILL');
  await once(child, 'exit');
  using lock = await InstanceLock.acquire(folder);
  expect(lock).toBeDefined();
});

it('waits for one that is about to end', async () => {
  const child = await anotherHolder();
  const waiting = InstanceLock.acquire(folder, { patience: 60_000 });
  child.kill('SIGKILL');
  using lock = await waiting;
  expect(lock).toBeDefined();
});

it('is free after it was given back', async () => {
  (await InstanceLock.acquire(folder))[Symbol.dispose]();
  using lock = await InstanceLock.acquire(folder);
  expect(lock).toBeDefined();
});

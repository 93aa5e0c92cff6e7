import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { probeHost } from '#worker/runtime/host/probe-host.ts';
import { RuncStepRunner } from '#worker/runtime/step/runc-step-runner.ts';
import { Lab } from '../networks/lab.ts';
import { DriversWorld } from './drivers-world.ts';

const PATIENCE = { timeout: 30_000 };

it('what is kept ready serves the next command, and nothing of it stays', async () => {
  await using lab = await Lab.open();
  await using world = await DriversWorld.open({ sandboxes: lab.networks, drivers: { ahead: true } });
  const base = await world.busybox();
  const connects = () => lab.events.filter(({ action }) => action === 'connect').length;
  await world.sh(base, 'cat /etc/hosts; ip -4 -o addr show eth0', { network: 'default' });
  await vi.waitFor(() => expect(connects()).toBe(2), PATIENCE);
  const hosts = '127.0.0.1\tlocalhost buildkitsandbox';
  expect(world.output).toContain(hosts);
  // It stays for a second at least: the two are not the same.
  await world.sh(base, 'echo second; ip -4 -o addr show eth0', { network: 'default' });
  await expect(world.sh(base, 'exit 3', { network: 'none' })).rejects.toMatchObject({ exitCode: 3 });
  const addresses = world.output.match(/inet (\d+\.\d+\.\d+\.\d+)/g) ?? [];
  expect(new Set(addresses).size).toBe(2);
  // Nobody comes: it goes by itself.
  await vi.waitFor(async () => expect(await world.leftovers()).toEqual([]), PATIENCE);
  expect(lab.events.filter(({ action }) => action === 'disconnect')).toHaveLength(connects());
});

it('a runtime that is kept ready ends with the worker', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'slipway-steps-'));
  try {
    const { tools } = await probeHost();
    const steps = new RuncStepRunner({ stateDir, runc: tools.runc.path! });
    steps.prepare();
    await vi.waitFor(() => expect(waiting(stateDir)).toHaveLength(1), PATIENCE);
    await steps.stop();
    expect(waiting(stateDir)).toEqual([]);
    expect((await readdir(stateDir)).filter((name) => name !== 'runc')).toEqual([]);
    steps.prepare();
    expect(waiting(stateDir)).toEqual([]);
  } finally {
    await rm(stateDir, { recursive: true });
  }
});

/** Processes that have the folder in their arguments. */
function waiting(stateDir: string): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandOf(name).includes(stateDir));
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

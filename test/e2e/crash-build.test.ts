import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { run } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** kill -9 of the worker while it builds a graph for BuildKit's client. */

let slipway: Slipway;
let sockets: string;
let args: string[];
let sleeper: string;

beforeAll(async () => {
  sockets = mkdtempSync(join(tmpdir(), 'slipway-'));
  const env = { SLIPWAY_WORKER_BUILDKIT_LISTEN: `["unix://${sockets}/buildkit.sock"]` };
  slipway = await startSlipway({ command: 'worker', env });
  await slipway.dockerOk('load', '-i', await busyboxArchive());
  const context = join(slipway.folder, 'context');
  mkdirSync(context);
  sleeper = `sleep 61${process.pid}`;
  const lines = [
    'FROM busybox',
    'COPY file /',
    'RUN echo first > /first',
    `RUN echo it-runs; test -e /go || ${sleeper}`,
  ];
  writeFileSync(join(context, 'Dockerfile'), lines.join('\n'));
  writeFileSync(join(context, 'file'), 'text');
  args = ['build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
  args.push('--local', `context=${context}`, '--local', `dockerfile=${context}`);
});

afterAll(async () => {
  await slipway?.[Symbol.asyncDispose]();
  rmSync(sockets, { recursive: true, force: true });
});

/** A build that goes on, and what it has said so far. */
function startBuild() {
  const address = ['--addr', `unix://${sockets}/buildkit.sock`];
  const child = spawn(buildKitProgram('buildctl'), [...address, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (data: string) => output.push(data));
  return { child, told: () => output.join('') };
}

function mounts(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter((line) => line.includes(slipway.dataDir) || line.includes(join(slipway.folder, 'run')));
}

async function sleeping(): Promise<boolean> {
  return (await run('pgrep', ['-f', sleeper], { env: process.env })).code === 0;
}

it('leaves no command and no mount, and keeps the steps that were finished', async () => {
  const { child, told } = startBuild();
  await expect.poll(told, { timeout: 60_000 }).toMatch(/^#\d+ [\d.]+ it-runs/m);
  expect(await sleeping()).toBe(true);
  await slipway.stop('SIGKILL');
  if (child.exitCode === null) await once(child, 'exit');
  await slipway.start();
  await expect.poll(sleeping, { timeout: 60_000 }).toBe(false);
  await expect.poll(mounts, { timeout: 60_000 }).toEqual([]);

  const again = startBuild();
  await expect.poll(again.told, { timeout: 60_000 }).toMatch(/^#\d+ [\d.]+ it-runs/m);
  expect(again.told()).toMatch(/RUN echo first > \/first\n#\d+ CACHED/);
  expect(again.told()).toMatch(/COPY file \/\n#\d+ CACHED/);
  // A client that goes takes its command along.
  again.child.kill('SIGKILL');
  await expect.poll(sleeping, { timeout: 60_000 }).toBe(false);
});

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** kill -9 of the worker at the worst moments: the next start reconciles, a retry succeeds, nothing is leaked. */

let slipway: Slipway;

beforeAll(async () => {
  slipway = await startSlipway();
  await seedImages(slipway.registry, ['busybox']);
  await slipway.dockerOk('pull', 'busybox');
});

afterAll(async () => {
  await slipway?.[Symbol.asyncDispose]();
});

/** Runs `docker …` and kills the worker once its output shows `moment`; resolves when the worker serves again. */
async function killDuring(args: string[], moment: RegExp): Promise<void> {
  const child = spawn('docker', args, { env: slipway.clientEnv, stdio: ['ignore', 'pipe', 'pipe'] });
  let seen = '';
  await new Promise<void>((resolve, reject) => {
    const look = (data: Buffer) => {
      seen += data;
      if (moment.test(seen)) resolve();
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', (code) => reject(new Error(`docker ended (${code}) before ${moment}: ${seen}`)));
  });
  await killWorker();
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => child.once('exit', resolve));
  }
}

async function killWorker(): Promise<void> {
  const before = slipway.rolePid('worker');
  process.kill(before, 'SIGKILL');
  await expect.poll(() => slipway.rolePid('worker'), { timeout: 60_000 }).not.toBe(before);
  await slipway.ready();
}

function overlayMounts(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter((line) => line.includes(slipway.dataDir) || line.includes(join(slipway.folder, 'run')));
}

function entries(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

it('during a pull: what was downloaded stays, a retry completes the image', async () => {
  const context = join(slipway.folder, 'big');
  mkdirSync(context);
  writeFileSync(join(context, 'a'), randomBytes(60 << 20));
  writeFileSync(join(context, 'b'), randomBytes(40 << 20));
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nCOPY a /a\nCOPY b /b\n');
  const name = `${slipway.registry}/crash/big`;
  await slipway.dockerOk('build', '-t', name, context);
  await slipway.dockerOk('push', name);
  const sum = await slipway.dockerOk('run', '--rm', name, 'sha256sum', '/a', '/b');
  await slipway.dockerOk('rmi', '-f', name);
  await slipway.dockerOk('builder', 'prune', '-af');

  await killDuring(['pull', name], /Pulling fs layer/);

  await slipway.dockerOk('pull', name);
  expect(await slipway.dockerOk('run', '--rm', name, 'sha256sum', '/a', '/b')).toBe(sum);
});

it('during a build: the step is gone, the finished ones are kept, a retry succeeds', async () => {
  const context = join(slipway.folder, 'slow');
  mkdirSync(context);
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nRUN echo first > /first\nRUN echo step-two-runs; sleep 4; echo second > /second\n',
  );
  await killDuring(['build', '-t', 'slow', context], /step-two-runs\n/);
  await expect.poll(overlayMounts, { timeout: 60_000 }).toEqual([]);

  const output = await slipway.dockerOk('build', '-t', 'slow', context);
  expect(output).toMatch(/RUN echo first[^\n]*\n ---> Using cache/);
  expect(await slipway.dockerOk('run', '--rm', 'slow', 'cat', '/first', '/second')).toBe('first\nsecond');
});

it('while a container runs: it goes on, and its logs, wait and exit code are right', async () => {
  const script = 'i=0; until [ -e /stop ]; do echo line $i; i=$((i+1)); sleep 0.05; done; echo end; exit 7';
  await slipway.dockerOk('run', '-d', '--name', 'survivor', 'busybox', 'sh', '-c', script);
  const pid = await slipway.dockerOk('inspect', '-f', '{{.State.Pid}}', 'survivor');
  await killWorker();

  expect(await slipway.dockerOk('inspect', '-f', '{{.State.Running}} {{.State.Pid}}', 'survivor')).toBe(
    `true ${pid}`,
  );
  expect(await slipway.dockerOk('exec', 'survivor', 'touch', '/stop')).toBe('');
  expect(await slipway.dockerOk('wait', 'survivor')).toBe('7');
  const lines = (await slipway.dockerOk('logs', 'survivor')).split('\n');
  expect(lines.pop()).toBe('end');
  expect(lines.length).toBeGreaterThan(5);
  expect(lines).toEqual(lines.map((_, index) => `line ${index}`));
  await slipway.dockerOk('rm', 'survivor');
});

it('notices what ended, and restarts what has to run, after it was away', async () => {
  await slipway.dockerOk('run', '-d', '--name', 'ended', 'busybox', 'sh', '-c', 'sleep 0.5; exit 3');
  await slipway.dockerOk('run', '-d', '--name', 'kept', '--restart', 'always', 'busybox', 'sleep', '0.5');
  await slipway.dockerOk('run', '-d', '--rm', '--name', 'passing', 'busybox', 'sleep', '0.5');
  await slipway.stop('SIGKILL');
  await sleep(1_500);
  await slipway.start();

  expect(await slipway.dockerOk('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'ended')).toBe(
    'exited 3',
  );
  await expect
    .poll(() => slipway.dockerOk('inspect', '-f', '{{.RestartCount}}', 'kept').then(Number), {
      timeout: 60_000,
    })
    .toBeGreaterThan(0);
  await expect.poll(async () => (await slipway.docker(['inspect', 'passing'])).code).not.toBe(0);
  await slipway.dockerOk('rm', '-f', 'ended', 'kept');
});

it('at any moment of create, start and remove: every container is whole or gone, and nothing is left behind', async () => {
  for (let round = 0; round < 10; round++) {
    const name = `round-${round}`;
    const child = spawn('docker', ['run', '--name', name, 'busybox', 'true'], {
      env: slipway.clientEnv,
      stdio: 'ignore',
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await sleep(20 + round * 12);
    // With its supervisor, whose back-off would only be waited for.
    process.kill(slipway.rolePid('worker'), 'SIGKILL');
    await slipway.stop('SIGKILL');
    await ended;
    await slipway.start();
    const { code, stdout } = await slipway.docker(['inspect', '-f', '{{.State.Status}}', name]);
    if (code !== 0) continue;
    expect(stdout.trim()).toMatch(/^(created|running|exited)$/);
    await slipway.dockerOk('rm', '-f', name);
  }
  expect(await slipway.dockerOk('ps', '-aq')).toBe('');
  expect(await slipway.dockerOk('run', '--rm', 'busybox', 'echo', 'fine')).toBe('fine');
  await expect.poll(overlayMounts, { timeout: 60_000 }).toEqual([]);
  await expect.poll(() => entries(join(slipway.folder, 'run', 'netns')), { timeout: 60_000 }).toEqual([]);
  await expect
    .poll(() => entries(join(slipway.dataDir, 'worker', 'containers')), { timeout: 60_000 })
    .toEqual([]);
});

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { Emulator } from './harness/emulator.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';
import { unameArm64 } from './harness/uname-arm64.ts';

let slipway: Slipway;
let clients: Clients;
let emulator: Emulator;
let context: string;

beforeAll(async () => {
  emulator = await Emulator.register();
  slipway = await startSlipway();
  clients = createClients(`unix://${slipway.socket}`);
  context = join(slipway.folder, 'context');
  mkdirSync(context);
  copyFileSync('/bin/busybox', join(context, 'uname-amd64'));
  writeFileSync(join(context, 'uname-arm64'), unameArm64(), { mode: 0o755 });
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM scratch\nARG TARGETARCH\nCOPY uname-$TARGETARCH /uname\nRUN ["/uname", "-m"]\nCMD ["/uname", "-m"]\n',
  );
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await slipway?.[Symbol.asyncDispose]();
  await emulator?.[Symbol.asyncDispose]();
});

const build = (...args: string[]) =>
  clients.buildx(['build', '--progress', 'plain', '--no-cache', ...args, context]);

it('runs the commands of each platform by what the host can run them with', async () => {
  const name = `${slipway.registry}/team/uname`;
  const { stderr, code } = await build('--platform', 'linux/amd64,linux/arm64', '--push', '--tag', name);
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/^#\d+ [\d.]+ x86_64$/m);
  expect(stderr).toMatch(/^#\d+ [\d.]+ aarch64$/m);
  for (const [platform, machine] of [
    ['linux/amd64', 'x86_64'],
    ['linux/arm64', 'aarch64'],
  ] as const) {
    const args = ['run', '--rm', '--pull', 'always', '--quiet', '--platform', platform, name];
    expect((await slipway.dockerOk(...args)).trim()).toBe(machine);
  }
});

it('says for which platforms that is', async () => {
  const { stdout } = await clients.buildx(['inspect']);
  expect(stdout).toMatch(/^ *Platforms: +linux\/amd64.*linux\/386.*linux\/arm64/m);
});

it('says what is missing where it cannot', async () => {
  emulator.enabled = false;
  try {
    const { stderr, code } = await build('--platform', 'linux/arm64');
    expect(code).not.toBe(0);
    expect(stderr).toContain('cannot run commands for linux/arm64 on linux/amd64: no emulator is registered');
    expect((await clients.buildx(['inspect'])).stdout).not.toContain('linux/arm64');
  } finally {
    emulator.enabled = true;
  }
});

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { run } from './harness/command.ts';
import { isRunning } from './harness/process.ts';
import { startSlipway } from './harness/slipway.ts';

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));

const status = (pid: number) => readFileSync(`/proc/${pid}/status`, 'utf8');
const answers = async (registry: string) => (await fetch(`http://${registry}/v2/`)).status;

it('serves both roles, the registry without root, and says how to use them', async () => {
  await using slipway = await startSlipway();
  expect(await answers(slipway.registry)).toBe(200);
  expect((await run('curl', ['-sf', '--unix-socket', slipway.socket, 'http://localhost/_ping'])).stdout).toBe(
    'OK',
  );

  const uid = readFileSync('/etc/passwd', 'utf8').match(/^slipway:[^:]*:(\d+):/m)![1]!;
  const registry = status(slipway.rolePid('registry'));
  expect(registry).toMatch(new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, 'm'));
  expect(registry).toMatch(/^CapEff:\t0+$/m);
  expect(registry).not.toMatch(/^Groups:\t(.* )?0 /m);
  expect(statSync(join(slipway.dataDir, 'registry')).mode & 0o077).toBe(0);
  expect(status(slipway.rolePid('worker'))).toMatch(/^Uid:\t0\t/m);

  await expect.poll(() => slipway.output).toContain(`export DOCKER_HOST=unix://${slipway.socket}`);
  expect(slipway.output).toContain(slipway.registry);
  expect(slipway.output).toContain(slipway.dataDir);
});

it.each(['SIGTERM', 'SIGINT'] as const)('ends in order on %s, and starts again', async (signal) => {
  await using slipway = await startSlipway();
  expect(await slipway.stop(signal)).toBe(0);
  await slipway.start();
  expect(await answers(slipway.registry)).toBe(200);
});

it('is refused a second time on the same data', async () => {
  await using slipway = await startSlipway();
  const env = { ...process.env, SLIPWAY_DATA_DIR: slipway.dataDir, SLIPWAY_REGISTRY_LISTEN: '127.0.0.1:1' };
  for (const command of ['serve', 'registry']) {
    const second = await run(program, [command], { env });
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toMatch(/^slipway: another Slipway \(process \d+\) already uses \S+\n$/);
  }
  expect(await answers(slipway.registry)).toBe(200);
});

it('says in one line when an address is taken', async () => {
  await using slipway = await startSlipway({ command: 'registry' });
  const env = {
    ...process.env,
    SLIPWAY_DATA_DIR: join(slipway.folder, 'other'),
    SLIPWAY_REGISTRY_LISTEN: slipway.registry,
  };
  const second = await run(program, ['registry'], { env });
  expect(second.code).toBe(1);
  expect(second.stderr).toBe(`slipway: cannot listen on ${slipway.registry}: the address is in use\n`);
});

it('starts a role again that was killed', async () => {
  await using slipway = await startSlipway();
  for (const role of ['registry', 'worker'] as const) {
    const before = slipway.rolePid(role);
    process.kill(before, 'SIGKILL');
    await expect.poll(() => slipway.rolePid(role), { timeout: 60_000 }).not.toBe(before);
    await slipway.ready();
  }
  expect(slipway.output).toMatch(/the registry ended \(killed by SIGKILL\), starting it again in \d+ ms/);
});

it('can be started at once after its supervisor was killed', async () => {
  await using slipway = await startSlipway();
  const roles = (['registry', 'worker'] as const).map((role) => slipway.rolePid(role));
  process.kill(slipway.pid, 'SIGKILL');
  await slipway.start();
  await expect.poll(() => roles.filter(isRunning)).toEqual([]);
  expect(await answers(slipway.registry)).toBe(200);
});

it('does not listen beyond loopback', async () => {
  const { code, stderr } = await run(program, ['worker', '--set', 'worker.listen=tcp://0.0.0.0:2375'], {
    env: process.env,
  });
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /^slipway: --set: worker\.listen\.0: 'tcp:\/\/0\.0\.0\.0:2375': listening beyond loopback is refused.*\n$/,
  );
});

it('refuses settings that it does not know, with exit code 2', async () => {
  await using slipway = await startSlipway({ command: 'registry' });
  const file = join(slipway.folder, 'slipway.yaml');
  writeFileSync(file, 'registry:\n  lisen: 127.0.0.1:5000\n');
  const { code, stderr } = await run(program, ['serve', '--config', file], { env: process.env });
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: `slipway: ${file}: registry.lisen: unknown setting\n`,
  });

  const unknown = await run(program, ['srve'], { env: process.env });
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain("slipway: unknown command 'srve'\n\nUsage: slipway COMMAND");
});

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildLeftovers } from './harness/build-leftovers.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { run } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/**
 * kill -9 of the worker at random moments while it builds, pushes and sends its cache to the registry: what a client was
 * told is pushed is there, the next start finds nothing half-done, and builds go on. `npm run crash` does it 25 times.
 */

const ROUNDS = Number(process.env.TEST_CRASH_ROUNDS ?? 1);

let slipway: Slipway;
let base: string;
const clients = new Set<ChildProcess>();

beforeAll(async () => {
  slipway = await startSlipway({ buildkit: true });
  base = `${slipway.registry}/library/busybox`;
  await slipway.dockerOk('load', '-i', await busyboxArchive());
  await slipway.dockerOk('tag', 'busybox', base);
  await slipway.dockerOk('push', base);
});

afterAll(async () => {
  for (const client of clients) client.kill('SIGKILL');
  await slipway?.[Symbol.asyncDispose]();
});

/** A push of an image that is like no other; resolves to whether it was said to be there. */
async function push(name: string): Promise<boolean> {
  const context = join(slipway.folder, name);
  mkdirSync(context);
  writeFileSync(join(context, 'file'), name);
  const lines = [
    `FROM ${base} AS one`,
    'COPY file /file',
    'RUN head -c 2000000 /dev/urandom > /random && sha256sum /random > /sum',
    `FROM ${base} AS two`,
    `RUN echo ${name} > /name`,
    `FROM ${base}`,
    'COPY --from=one /file /random /sum /',
    'COPY --from=two /name /',
    'RUN sha256sum -c /sum',
  ];
  writeFileSync(join(context, 'Dockerfile'), lines.join('\n'));
  const args = ['--addr', slipway.buildkit, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
  args.push('--local', `context=${context}`, '--local', `dockerfile=${context}`);
  args.push('--output', `type=image,name=${slipway.registry}/crash/${name},push=true`);
  const client = spawn(buildKitProgram('buildctl'), args, { stdio: 'ignore', env: process.env });
  clients.add(client);
  const [code] = await once(client, 'exit');
  clients.delete(client);
  return code === 0;
}

it(
  'loses nothing that was acknowledged, and leaves nothing',
  async () => {
    const acknowledged: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const building = [0, 1].map(async (at) => {
        for (let count = 0; count < 20; count++) {
          const name = `r${round}-${at}-${count}`;
          if (!(await push(name))) return;
          acknowledged.push(name);
        }
      });
      // At least one is done by then, and others are anywhere.
      const first = acknowledged.length;
      await expect.poll(() => acknowledged.length, { timeout: 90_000, interval: 20 }).toBeGreaterThan(first);
      await sleep(Math.random() * 1_500);
      const before = slipway.rolePid('worker');
      process.kill(before, 'SIGKILL');
      await Promise.all(building);
      await expect.poll(() => slipway.rolePid('worker'), { timeout: 60_000 }).not.toBe(before);
      await slipway.ready();
      await expect.poll(() => buildLeftovers(slipway), { timeout: 60_000 }).toEqual([]);
    }
    expect(await push('after')).toBe(true);
    expect(acknowledged.length).toBeGreaterThanOrEqual(ROUNDS);
    for (const name of [...acknowledged, 'after']) {
      const image = `${slipway.registry}/crash/${name}`;
      await run('docker', ['rmi', '--force', image], { env: slipway.clientEnv });
      const said = await slipway.dockerOk('run', '--rm', image, 'sh', '-c', 'cat /file && sha256sum -c /sum');
      expect(said).toContain(name);
      await slipway.dockerOk('rmi', '--force', image);
    }
  },
  120_000 * (ROUNDS + 1),
);

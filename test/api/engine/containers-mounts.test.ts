import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ContainerEngine } from './container-engine.ts';
import { run } from './engine-client.ts';

let engine: ContainerEngine;
beforeAll(async () => {
  engine = await ContainerEngine.start();
});
afterAll(() => engine[Symbol.asyncDispose]());

it('gives an empty volume what the image has there, with owner and mode', async () => {
  const { stdout } = await run(engine, 'ls -ld /etc /etc/passwd; ls /etc | wc -l', {
    Volumes: { '/etc': {} },
  });
  const plain = await run(engine, 'ls -ld /etc /etc/passwd; ls /etc | wc -l');
  const fields = (text: string) =>
    text.split('\n').map((line) =>
      line
        .split(/\s+/)
        .slice(0, 4)
        .filter((_, i) => i !== 1),
    );
  expect(fields(stdout)).toEqual(fields(plain.stdout));
  await engine.request('POST', '/containers/prune');
});

it('mounts binds, read-only binds, tmpfs and volumes of others', async () => {
  const host = await mkdtemp(join(tmpdir(), 'slipway-bind-'));
  await writeFile(join(host, 'file'), 'from host\n');
  const first = await run(
    engine,
    'cat /b/file; echo x > /b/new; echo y > /ro/new || echo refused; df -h /t | tail -1 | cut -c1-5; touch /v/made',
    {
      HostConfig: {
        Binds: [`${host}:/b`, `${host}:/ro:ro`, `${host}/made/dir:/m`],
        Tmpfs: { '/t': 'size=1m' },
        Mounts: [{ Type: 'volume', Source: 'vfrom', Target: '/v' }],
      },
    },
  );
  expect(first.stdout).toBe('from host\nrefused\ntmpfs\n');
  expect(await readFile(join(host, 'new'), 'utf8')).toBe('x\n');
  const second = await run(engine, 'ls /v /m', { HostConfig: { VolumesFrom: [first.id] } });
  expect(second.stdout).toBe('/m:\n\n/v:\nmade\n');
  await engine.request('POST', '/containers/prune');
  await rm(host, { recursive: true });
});

import { expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { startSlipway } from './harness/slipway.ts';

it('postgres keeps its data on a named volume when its container is replaced', async () => {
  await using slipway = await startSlipway();
  await seedImages(slipway.registry, ['postgres']);
  const start = () =>
    slipway.dockerOk(
      'run',
      '-d',
      '--name',
      'db',
      '-e',
      'POSTGRES_PASSWORD=secret',
      '-v',
      'pgdata:/var/lib/postgresql/data',
      'postgres',
    );
  const sql = async (query: string) => {
    const client = [
      'exec',
      '-e',
      'PGPASSWORD=secret',
      'db',
      'psql',
      '-h',
      '127.0.0.1',
      '-U',
      'postgres',
      '-Atc',
      query,
    ];
    const { code, stdout, stderr } = await slipway.docker(client);
    return code === 0 ? stdout.trim() : stderr;
  };

  await start();
  await expect.poll(() => sql('select 1'), { timeout: 60_000, interval: 250 }).toBe('1');
  expect(await sql('create table ships (name text)')).toBe('CREATE TABLE');
  expect(await sql("insert into ships values ('Vasa')")).toBe('INSERT 0 1');

  expect(await slipway.dockerOk('stop', 'db')).toBe('db');
  expect(await slipway.dockerOk('inspect', '--format', '{{.State.ExitCode}}', 'db')).toBe('0');
  expect(await slipway.dockerOk('rm', 'db')).toBe('db');
  await start();
  await expect.poll(() => sql('select name from ships'), { timeout: 60_000, interval: 250 }).toBe('Vasa');
  expect(await slipway.dockerOk('logs', 'db')).not.toContain('initdb');
});

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PostgresServer } from '../../database/postgres-server.ts';

const program = fileURLToPath(new URL('../../../bin/slipway', import.meta.url));

let postgres: PostgresServer;
let folder: string;
let url: string;

beforeAll(async () => {
  postgres = await PostgresServer.start();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-migrate-'));
  url = await postgres.createDatabase();
});
afterAll(async () => {
  await postgres?.[Symbol.asyncDispose]();
});

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

function slipway(env: Record<string, string>, ...args: string[]): Promise<Outcome> {
  const settings = { SLIPWAY_DATA_DIR: join(folder, 'data'), SLIPWAY_REGISTRY_USER: '', ...env };
  return new Promise((resolve) => {
    execFile(program, args, { env: { ...process.env, ...settings } }, (failed, out, error) => {
      resolve({ code: failed ? Number(failed.code) : 0, out, error });
    });
  });
}

const databases: [string, () => Record<string, string>][] = [
  ['sqlite', () => ({})],
  [
    'postgres',
    () => {
      const file = join(folder, 'url');
      writeFileSync(file, `${url}\n`);
      return {
        SLIPWAY_REGISTRY_DATABASE_DRIVER: 'postgres',
        SLIPWAY_REGISTRY_DATABASE_POSTGRES_URL_FILE: file,
      };
    },
  ],
];

describe.each(databases)('slipway migrate on %s', (_, settings) => {
  it('says what it would do, does it, and then that there is nothing to do', async () => {
    const env = settings();
    const dry = await slipway(env, 'migrate', '--dry-run');
    expect(dry.code).toBe(0);
    expect(dry.out).toContain('would apply registry-0001-distribution\n');
    const done = await slipway(env, 'migrate');
    expect([done.code, done.error]).toEqual([0, '']);
    expect(done.out).toBe(dry.out.replaceAll('would apply', 'applied'));
    const again = await slipway(env, 'migrate', '--json');
    expect(JSON.parse(again.out)).toEqual({ applied: [] });
    expect((await slipway(env, 'migrate', '--dry-run')).out).toMatch(/^The database is up to date/);
    rmSync(folder, { recursive: true });
  });
});

it('and the registry itself refuse a database that a newer version brought forward', async () => {
  const env = databases[1]![1]();
  await slipway(env, 'migrate');
  await postgres.query(
    `insert into kysely_migration values ('registry-9999-future', '')`,
    new URL(url).pathname.slice(1),
  );
  const listen = { SLIPWAY_REGISTRY_LISTEN: '127.0.0.1:0' };
  for (const args of [['migrate'], ['migrate', '--dry-run'], ['registry']]) {
    const { code, error } = await slipway({ ...env, ...listen }, ...args);
    expect([args, code]).toEqual([args, 1]);
    expect(error).toContain('registry-9999-future');
  }
  rmSync(folder, { recursive: true });
});

it('says what is wrong when the database cannot be reached, and not the password', async () => {
  const { code, error } = await slipway(
    {
      SLIPWAY_REGISTRY_DATABASE_DRIVER: 'postgres',
      SLIPWAY_REGISTRY_DATABASE_POSTGRES_URL: 'postgres://slipway:hidden@127.0.0.1:1/slipway',
    },
    'migrate',
  );
  expect(code).toBe(1);
  expect(error).toMatch(/^slipway: the database is unavailable: connect ECONNREFUSED 127.0.0.1:1/);
  expect(error).not.toContain('hidden');
  rmSync(folder, { recursive: true, force: true });
});

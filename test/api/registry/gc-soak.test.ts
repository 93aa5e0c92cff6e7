import { afterAll, beforeAll, expect, it } from 'vitest';
import { PostgresServer } from '#test/database/postgres-server.ts';
import { soak } from '#test/soak/gc/soak.ts';

/** A short run of `npm run soak -- gc`. */
let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start();
});
afterAll(() => server?.[Symbol.asyncDispose]());

it.each([
  { database: 'sqlite', processes: 1 },
  { database: 'postgres', processes: 2 },
])('nothing is lost and nothing left when $processes on $database are killed again and again', async (it) => {
  const postgres = it.database === 'postgres' ? await server.createDatabase() : undefined;
  const result = await soak({ seconds: 8, processes: it.processes, pushers: 4, postgres });
  expect(result.problems).toEqual([]);
  expect(result.kills).toBeGreaterThan(0);
  expect(result.collected.blobs).toBeGreaterThan(0);
});

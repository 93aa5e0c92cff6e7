import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import { BuildTurnsRepository } from '#pool/gateway/build-turns-repository.ts';
import { ScaleHook } from '#pool/gateway/scale-hook.ts';
import { DemandRepository } from '#pool/scheduler/demand-repository.ts';
import { newSecret, verifySignature } from '#webhooks/signature.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';

const log = pino({ enabled: false });
const secret = newSecret();

/** Who is told, and may refuse. */
async function receiver() {
  const told: { desired: number; waiting: { builds: number } }[] = [];
  const state = { status: 204, refused: 0 };
  const server = createServer(async (req, res) => {
    const body = await text(req);
    verifySignature(req.headers as Record<string, string>, body, { secret, now: Date.now() });
    if (state.status < 300) told.push(JSON.parse(body));
    else state.refused++;
    res.writeHead(state.status).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/scale`;
  return {
    url,
    told,
    state,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function hook(db: PoolDatabase, url: string): ScaleHook {
  const limits = { minWorkers: 1, maxWorkers: 3, perWorker: 2 };
  return new ScaleHook({ rows: new DemandRepository(db), log }, { url, secret, interval: 20, ...limits });
}

const waits = (rows: BuildTurnsRepository) =>
  rows.enter({ tenant: '', project: '', session: undefined, wish: {}, exempt: false });

onEachPoolDatabase('the scale hook', (create, dialect) => {
  it('is told by one gateway how many workers would do, when that changes', async () => {
    await using pool = await create();
    await using to = await receiver();
    const rows = new BuildTurnsRepository(pool.db);
    await using _one = hook(pool.db, to.url);
    await using _other = hook(dialect === 'sqlite' ? pool.db : await pool.another(), to.url);
    await expect.poll(() => to.told.map(({ desired }) => desired)).toEqual([1]);
    const ids = [await waits(rows), await waits(rows), await waits(rows)];
    await expect.poll(() => to.told.at(-1)).toMatchObject({ desired: 2, waiting: { builds: 3 } });
    for (let i = 0; i < 7; i++) ids.push(await waits(rows));
    await expect.poll(() => to.told.at(-1)?.desired).toBe(3);
    for (const id of ids) await rows.leave(id);
    await expect.poll(() => to.told.at(-1)).toMatchObject({ desired: 1, waiting: { builds: 0 } });
    const desired = to.told.map((each) => `${each.desired} ${each.waiting.builds > 0}`);
    // Nothing twice in a row, though two ask all the time.
    expect(desired.filter((each, i) => each === desired[i - 1])).toEqual([]);
  });

  it('is told again what it did not take', async () => {
    await using pool = await create();
    await using to = await receiver();
    to.state.status = 503;
    await using _hook = hook(pool.db, to.url);
    await expect.poll(() => to.state.refused).toBeGreaterThan(1);
    expect(to.told).toEqual([]);
    to.state.status = 200;
    await expect.poll(() => to.told.map(({ desired }) => desired)).toEqual([1]);
  });
});

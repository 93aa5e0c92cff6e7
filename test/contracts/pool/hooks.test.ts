import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import { DeliveriesRepository } from '#pool/hooks/deliveries-repository.ts';
import { Hooks } from '#pool/hooks/hooks.ts';
import { HooksRepository } from '#pool/hooks/hooks-repository.ts';
import { TenantHooks } from '#pool/hooks/tenant-hooks.ts';
import { JobChangesRepository } from '#pool/jobs/changes-repository.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { verifySignature } from '#webhooks/signature.ts';
import { TargetPolicy } from '#webhooks/target-policy.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';
import { newJob } from './fixtures.ts';

const OFFER = { platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 2 ** 30 };

function hooksOn(db: PoolDatabase, allowed = ['127.0.0.1'], confined: string[] = allowed) {
  return new Hooks({
    hooks: new HooksRepository(db),
    deliveries: new DeliveriesRepository(db),
    targets: new TargetPolicy({ allowed, setting: 'pool.jobs.webhookNetworks' }),
    confinedTargets: new TargetPolicy({ allowed: confined, setting: 'pool.jobs.tenantWebhookNetworks' }),
  });
}

/** Somebody who is told of jobs; `answer` says with what status. */
async function receiver(answer: () => number) {
  const heard: { headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer(async (req, res) => {
    heard.push({ headers: req.headers, body: await text(req) });
    res.writeHead(answer()).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    heard,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const job = (tenant: string) => newJob({ tenant });

onEachPoolDatabase('hooks', (create, dialect) => {
  const open = async (db: PoolDatabase) => {
    for (const tenant of ['a', 'b']) await new TenantsRepository(db).ensure(tenant);
    const worker = await new WorkerLeasesRepository(db).acquire(
      { name: 'w', address: 'localhost:1', offer: OFFER },
      60_000,
    );
    const rows = new JobsRepository(db);
    const claims = new ClaimsRepository(db);
    return {
      hooks: hooksOn(db),
      worker,
      rows,
      claims,
      /** A job that is done. */
      async done(tenant: string, state: 'succeeded' | 'failed' = 'succeeded', confined = false) {
        const { id } = (await rows.enqueue({ ...job(tenant), confined })).job;
        const [claim] = await claims.claim(worker, [''], 1);
        await claims.end(claim!, worker, { state, result: { exitCode: 7 } });
        return id;
      },
      dueNow: () => db.updateTable('job_hook_deliveries').set({ due_at: 0 }).execute(),
      waiting: async () => (await db.selectFrom('job_hook_deliveries').selectAll().execute()).length,
    };
  };

  it('hear of their tenant’s jobs, signed, and once when all goes well', async () => {
    await using database = await create();
    await using to = await receiver(() => 204);
    const { hooks, done, waiting } = await open(database.db);
    const { secret } = await hooks.add({
      tenant: 'a',
      url: to.url,
      states: ['running', 'failed'],
      enabled: true,
    });
    await done('a', 'succeeded');
    await done('b', 'failed');
    const id = await done('a', 'failed');
    const other = dialect === 'sqlite' ? database.db : await database.another();
    await Promise.all([hooks, hooksOn(other), hooksOn(other)].map((each) => each.deliver()));
    expect(await waiting()).toBe(0);
    const events = to.heard.map(({ body }) => JSON.parse(body));
    expect(events.map(({ type }) => type).toSorted()).toEqual([
      'io.slipway.job.failed',
      'io.slipway.job.running',
      'io.slipway.job.running',
    ]);
    expect(events.find(({ type }) => type === 'io.slipway.job.failed')).toMatchObject({
      subject: id,
      data: { job: id, tenant: 'a', state: 'failed', attempt: 1, result: { exitCode: 7 } },
    });
    for (const { headers, body } of to.heard) {
      const given = headers as Record<string, string>;
      expect(verifySignature(given, body, { secret, now: Date.now() })).toMatch(/^job-\d+$/);
    }
    expect((await hooks.list('a'))[0]).toMatchObject({ lastResult: 'HTTP 204' });
  });

  it('are told again, later each time, of what they did not take', async () => {
    await using database = await create();
    let status = 500;
    await using to = await receiver(() => status);
    const { hooks, done, dueNow, waiting } = await open(database.db);
    const { hook } = await hooks.add({ tenant: 'a', url: to.url, states: ['succeeded'], enabled: true });
    await done('a');
    await hooks.deliver();
    expect(await hooks.deliver()).toBe(0);
    expect(await hooks.get(hook.id)).toMatchObject({ lastResult: 'HTTP 500' });
    await dueNow();
    status = 200;
    await hooks.deliver();
    expect(await waiting()).toBe(0);
    // The same delivery by its id, whatever attempt it was.
    expect(new Set(to.heard.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(to.heard).toHaveLength(2);
  });

  it('are told by others what a process took with it when it died', async () => {
    await using database = await create();
    await using to = await receiver(() => 200);
    const { hooks, done, dueNow } = await open(database.db);
    await hooks.add({ tenant: 'a', url: to.url, states: ['succeeded'], enabled: true });
    await done('a');
    expect(await new DeliveriesRepository(database.db).take(10, 60_000)).toHaveLength(1);
    expect(await hooks.deliver()).toBe(0);
    await dueNow();
    expect(await hooks.deliver()).toBe(1);
    expect(to.heard).toHaveLength(1);
  });

  it('that want nothing any more, and those that are removed, are told nothing', async () => {
    await using database = await create();
    await using to = await receiver(() => 410);
    const { hooks, done, waiting } = await open(database.db);
    const { hook } = await hooks.add({ tenant: 'a', url: to.url, states: ['succeeded'], enabled: true });
    await done('a');
    await hooks.deliver();
    expect(await waiting()).toBe(0);
    await done('a');
    await hooks.remove(hook.id);
    expect(await waiting()).toBe(0);
    await done('a');
    expect(await waiting()).toBe(0);
  });

  it('stay out of the pool’s own network', async () => {
    await using database = await create();
    const { done } = await open(database.db);
    const strict = hooksOn(database.db, []);
    const wanted = { tenant: 'a', states: ['succeeded'], enabled: true } as const;
    await expect(strict.add({ ...wanted, url: 'http://169.254.169.254/meta-data' })).rejects.toMatchObject({
      kind: 'forbidden',
    });
    // By its name it is known to be inside only when it is asked for.
    await strict.add({ ...wanted, url: 'http://localhost:1/' });
    await done('a');
    await strict.deliver();
    expect((await strict.list('a'))[0]!.lastResult).toContain('pool.jobs.webhookNetworks');
  });

  it('of a tenant’s clients are theirs alone, and hear of what these have asked for', async () => {
    await using database = await create();
    await using to = await receiver(() => 200);
    const { hooks, done } = await open(database.db);
    const [a, b] = ['a', 'b'].map(
      (name) => new TenantHooks(hooks, () => ({ name, policy: parseTenantPolicy({}) })),
    ) as [TenantHooks, TenantHooks];
    const wanted = { tenant: 'default', url: to.url, states: ['succeeded'], enabled: true } as const;
    const { hook } = await a.add(wanted);
    const { hook: operators } = await hooks.add({ ...wanted, tenant: 'a', states: ['failed'] });
    await expect(a.add({ ...wanted, tenant: 'b' })).rejects.toMatchObject({ kind: 'forbidden' });
    const inside = new TenantHooks(hooksOn(database.db, ['127.0.0.1'], []), () => ({
      name: 'a',
      policy: parseTenantPolicy({}),
    }));
    await expect(inside.add(wanted)).rejects.toThrow('pool.jobs.tenantWebhookNetworks');
    for (const [who, id] of [
      [b, hook.id],
      [a, operators.id],
      [a, 'none'],
    ] as const) {
      await expect(who.get(id)).rejects.toMatchObject({ kind: 'not-found' });
      await expect(who.remove(id)).rejects.toMatchObject({ kind: 'not-found' });
    }
    expect((await a.list(undefined)).map(({ id }) => id)).toEqual([hook.id]);
    expect(await b.list(undefined)).toEqual([]);
    await done('a');
    const own = await done('a', 'succeeded', true);
    await done('b', 'succeeded', true);
    await hooks.deliver();
    expect(to.heard.map(({ body }) => JSON.parse(body).subject)).toEqual([own]);
    await a.remove(hook.id);
    expect((await hooks.list('a')).map(({ id }) => id)).toEqual([operators.id]);
  });

  it('of what a job did are forgotten with it', async () => {
    await using database = await create();
    await using to = await receiver(() => 200);
    const { hooks, done, waiting } = await open(database.db);
    await hooks.add({ tenant: 'a', url: to.url, states: ['succeeded'], enabled: true });
    const id = await done('a');
    await new JobChangesRepository(database.db).remove(id);
    expect(await waiting()).toBe(0);
  });
});

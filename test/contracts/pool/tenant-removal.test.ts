import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { HooksRepository } from '#pool/hooks/hooks-repository.ts';
import { remainsRoutes } from '#pool/http/remains-routes.ts';
import { JobChangesRepository } from '#pool/jobs/changes-repository.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { OverlayNetworksRepository } from '#pool/overlay/overlay-networks-repository.ts';
import { Overlays } from '#pool/overlay/overlays.ts';
import { TenantAccessRepository } from '#pool/tenants/tenant-access-repository.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { TenantRemovalRepository } from '#pool/tenants/tenant-removal-repository.ts';
import { TriggersRepository } from '#pool/triggers/triggers-repository.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';

const OFFER = { platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 2 ** 30 };
const job = {
  tenant: 'a',
  confined: true,
  name: 'j',
  kind: 'run',
  spec: {},
  requirement: '',
  priority: 0,
  maxAttempts: 3,
  timeout: 60_000,
};

onEachPoolDatabase('a tenant’s end', (create) => {
  it('is told to each worker until that has nothing of it, and then its name is free', async () => {
    await using database = await create();
    const { db } = database;
    const removals = new TenantRemovalRepository(db);
    const [shares, access] = [new TenantsRepository(db), new TenantAccessRepository(db)];
    for (const name of ['a', 'b']) await shares.ensure(name);
    await access.setPolicy('a', parseTenantPolicy({ privileged: true }));
    await access.add({ tenant: 'a', subject: 'user:ada' });
    const networks = new OverlayNetworksRepository(db, 'a');
    const endpoints = undefined as never;
    await new Overlays({ networks, endpoints }, { addressPools: [{ base: '10.9.0.0/16', size: 24 }] }).create(
      {
        name: 'wide',
      },
    );
    const leases = new WorkerLeasesRepository(db);
    for (const name of ['w1', 'w2', 'w3'])
      await leases.acquire({ name, address: 'localhost:1', offer: OFFER }, 60_000);
    const jobs = new JobsRepository(db);
    const { id } = (await jobs.enqueue(job)).job;

    expect(await removals.remove('a')).toEqual(['w1', 'w2', 'w3']);
    await expect(removals.remove('a')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(removals.remove('default')).rejects.toMatchObject({ kind: 'conflict' });
    expect((await shares.list()).map(({ name }) => name)).toEqual(['b']);
    expect(await access.ofSubjects(['user:ada'])).toEqual([]);
    await expect(access.add({ tenant: 'a', subject: 'user:ada' })).rejects.toMatchObject({
      kind: 'not-found',
    });
    expect(await networks.list()).toEqual([]);
    expect([...(await access.identities(['a', 'b'])).keys()]).toEqual(['b']);

    // Not before every gateway has heard of it.
    expect(await removals.of('w1')).toEqual([]);
    await db.updateTable('tenant_remains').set({ due_at: 0 }).execute();
    expect(await removals.of('w1')).toEqual([{ tenant: 'a', generation: 0 }]);
    await removals.done('w1', 'a');
    expect(await removals.of('w1')).toEqual([]);
    await expect(removals.revive('a')).rejects.toThrow('still on w2, w3');
    await removals.done('w2', 'a');
    await new MembershipRepository(db).remove('w3');
    await db.updateTable('jobs').set({ state: 'publishing' }).execute();
    await expect(removals.revive('a')).rejects.toThrow('are not over');
    await db.updateTable('jobs').set({ state: 'canceled' }).execute();
    await removals.revive('a');
    expect((await shares.list()).map(({ name }) => name)).toEqual(['a', 'b']);
    // Nothing of before is the new one's.
    const { policy, generation } = (await access.identities(['a'])).get('a')!;
    expect(policy).toMatchObject({ privileged: false });
    expect(generation).toBeGreaterThan(0);
    await access.add({ tenant: 'a', subject: 'user:ada' });
    expect(await access.ofSubjects(['user:ada'])).toEqual([{ name: 'a', generation, policy }]);
    expect((await access.identities(['b'])).get('b')).toEqual({ name: 'b', policy: parseTenantPolicy({}) });
    // Before anybody's clock went back, and after.
    await db
      .updateTable('tenants')
      .set({ generation: 2 ** 45 })
      .where('name', '=', 'a')
      .execute();
    await removals.remove('a');
    await db.deleteFrom('tenant_remains').execute();
    await removals.revive('a');
    expect((await access.identities(['a'])).get('a')).toMatchObject({ generation: 2 ** 45 + 1 });
    expect(await jobs.list({ tenant: 'a', confined: true, limit: 10 })).toEqual([]);
    expect((await jobs.list({ tenant: 'a', limit: 10 })).map((each) => each.id)).toEqual([id]);
  });

  it('ends its jobs with it, and those of others as little as what is being published', async () => {
    await using database = await create();
    const { db } = database;
    const [removals, shares, jobs] = [
      new TenantRemovalRepository(db),
      new TenantsRepository(db),
      new JobsRepository(db),
    ];
    await shares.put({ name: 'a', weight: 1, maxRunning: 3 });
    await shares.ensure('b');
    const asked = async (changes: object) => (await jobs.enqueue({ ...job, ...changes })).job.id;
    const running = await asked({});
    const published = await asked({});
    const queued = await asked({});
    const blocked = await asked({ needs: [queued] });
    const delayed = await asked({ notBefore: 2 ** 42 });
    const operators = await asked({ confined: false });
    const others = await asked({ tenant: 'b' });
    const as = (state: 'running' | 'publishing', id: string) =>
      db.updateTable('jobs').set({ state }).where('public_id', '=', id).execute();
    await as('running', running);
    await as('publishing', published);
    const stateOf = async (id: string) => (await jobs.get(id)).state;
    expect(await stateOf(operators)).toBe('held');

    await removals.remove('a');
    for (const id of [queued, blocked, delayed]) expect(await stateOf(id)).toBe('canceled');
    expect(await stateOf(running)).toBe('running');
    const { cancel_reason } = await db
      .selectFrom('jobs')
      .select('cancel_reason')
      .where('public_id', '=', running)
      .executeTakeFirstOrThrow();
    expect(cancel_reason).toBe('its tenant was removed');
    expect(await stateOf(published)).toBe('publishing');
    // There is room for it now.
    expect(await stateOf(operators)).toBe('queued');
    expect(await stateOf(others)).toBe('queued');
    await expect(new JobChangesRepository(db).retry(queued)).rejects.toMatchObject({ kind: 'conflict' });
    // What ran comes to its end.
    await new JobChangesRepository(db).cancel(operators, 'canceled');
    expect(await stateOf(operators)).toBe('canceled');
  });

  it('leaves nothing that could be had in its name', async () => {
    await using database = await create();
    const { db } = database;
    const [removals, shares] = [new TenantRemovalRepository(db), new TenantsRepository(db)];
    await shares.ensure('a');
    await removals.remove('a');
    const trigger = {
      source: { cron: '* * * * *' },
      submission: {},
      enabled: true,
      secret: null,
      dueAt: null,
    };
    const hook = { url: 'https://a.example', states: [], enabled: true, secret: 's' };
    for (const made of [
      () => new JobsRepository(db).enqueue(job),
      () => new JobsRepository(db).enqueue({ ...job, confined: false }),
      () => new HooksRepository(db).add({ tenant: 'a', confined: true, ...hook }),
      () => new TriggersRepository(db).put('a', 't', { ...trigger, confined: true } as never),
      () => new TenantAccessRepository(db).add({ tenant: 'a', subject: 'user:ada' }),
      () => shares.put({ name: 'a', weight: 9, maxRunning: null }),
    ]) {
      await expect(made()).rejects.toMatchObject({ kind: 'not-found' });
    }
    const row = await db
      .selectFrom('tenants')
      .select('weight')
      .where('name', '=', 'a')
      .executeTakeFirstOrThrow();
    expect(row.weight).toBe(1);
  });

  it('is told to workers that come back with something of it', async () => {
    await using database = await create();
    const { db } = database;
    const [removals, shares] = [new TenantRemovalRepository(db), new TenantsRepository(db)];
    for (const name of ['a', 'b', 'c']) await shares.ensure(name);
    await removals.remove('a');
    await removals.remove('b');
    await removals.revive('b');
    const generation = (await new TenantAccessRepository(db).identities(['b'])).get('b')!.generation!;
    const held = ['a', 'b', 'c', 'unheard-of'].map((tenant) => ({ tenant, generation: 0 }));
    expect(await removals.of('w1')).toEqual([]);
    // Gateways may ask in the name of `a` for a moment yet.
    expect(await removals.of('w1', held)).toEqual([{ tenant: 'b', generation: 0 }]);
    await db.updateTable('tenants').set({ removed_at: 1 }).where('name', '=', 'a').execute();
    const former = ['a', 'b'].map((tenant) => ({ tenant, generation: 0 }));
    expect(await removals.of('w1', held)).toEqual(former);
    expect(await removals.of('w1', [{ tenant: 'b', generation }])).toEqual([]);
  });

  it('is asked for by workers, each for itself', async () => {
    await using database = await create();
    const { db } = database;
    const removals = new TenantRemovalRepository(db);
    await new TenantsRepository(db).ensure('a');
    const leases = new WorkerLeasesRepository(db);
    for (const name of ['w1', 'w2'])
      await leases.acquire({ name, address: 'localhost:1', offer: OFFER }, 60_000);
    await removals.remove('a');
    await db.updateTable('tenant_remains').set({ due_at: 0 }).execute();
    const routes = new Map<string, (req: IncomingMessage, body: unknown) => Promise<unknown>>();
    const server = {
      authenticate: async () => ({ name: 'w1', worker: 'id', epoch: 1 }),
      route: (path: string, task: never) => void routes.set(path, task),
    };
    remainsRoutes(server, { removals });
    const ask = (path: string, body?: unknown) => routes.get(path)!({} as IncomingMessage, body);
    const answer = { tenants: [{ tenant: 'a', generation: 0 }] };
    expect(await ask('POST /tenants/remains')).toEqual(answer);
    expect(await ask('POST /tenants/remains', { held: [{ tenant: 'a', generation: 0 }] })).toEqual(answer);
    await expect(
      ask('POST /tenants/remains', { held: [{ tenant: '../a', generation: 0 }] }),
    ).rejects.toMatchObject({
      kind: 'invalid',
    });
    await ask('POST /tenants/removed', { tenant: 'a' });
    expect(await ask('POST /tenants/remains')).toEqual({ tenants: [] });
    expect(await removals.of('w2')).toEqual(answer.tenants);
  });
});

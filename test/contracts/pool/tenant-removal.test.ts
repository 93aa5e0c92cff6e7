import { expect, it } from 'vitest';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { OverlayNetworksRepository } from '#pool/overlay/overlay-networks-repository.ts';
import { Overlays } from '#pool/overlay/overlays.ts';
import { TenantAccessRepository } from '#pool/tenants/tenant-access-repository.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { TenantRemovalRepository } from '#pool/tenants/tenant-removal-repository.ts';
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
    const { id } = (await new JobsRepository(db).enqueue(job)).job;

    expect(await removals.remove('a')).toEqual(['w1', 'w2', 'w3']);
    await expect(removals.remove('a')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(removals.remove('default')).rejects.toMatchObject({ kind: 'conflict' });
    expect(await removals.openJobs('a')).toEqual([id]);
    expect((await shares.list()).map(({ name }) => name)).toEqual(['b']);
    expect(await access.ofSubjects(['user:ada'])).toEqual([]);
    await expect(access.add({ tenant: 'a', subject: 'user:ada' })).rejects.toMatchObject({
      kind: 'not-found',
    });
    expect(await networks.list()).toEqual([]);
    expect(await removals.existing(['a', 'b'])).toEqual(new Set(['b']));

    // Not before every gateway has heard of it.
    expect(await removals.of('w1')).toEqual([]);
    await db.updateTable('tenant_remains').set({ due_at: 0 }).execute();
    expect(await removals.of('w1')).toEqual(['a']);
    await removals.done('w1', 'a');
    expect(await removals.of('w1')).toEqual([]);
    await expect(removals.revive('a')).rejects.toThrow('still on w2, w3');
    await removals.done('w2', 'a');
    await new MembershipRepository(db).remove('w3');
    await expect(removals.revive('a')).rejects.toThrow('are not over');
    await db.updateTable('jobs').set({ state: 'canceled' }).execute();
    await removals.revive('a');
    expect((await shares.list()).map(({ name }) => name)).toEqual(['a', 'b']);
    // Nothing of before is the new one's.
    expect((await access.policies(['a'])).get('a')).toMatchObject({ privileged: false });
    const rows = new JobsRepository(db);
    expect(await rows.list({ tenant: 'a', confined: true, limit: 10 })).toEqual([]);
    expect((await rows.list({ tenant: 'a', limit: 10 })).map((each) => each.id)).toEqual([id]);
  });
});

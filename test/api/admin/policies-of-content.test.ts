import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Access, OPEN_ACCESS } from '#auth/access.ts';
import { SYSTEM } from '#registry/events/event.ts';
import {
  begin,
  errorCode,
  json,
  pushBlob,
  pushImage,
  putManifest,
} from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

/** Rules about content: what is kept, which tags stay, how much there may be. */

/** Everybody may do everything, and only those who say so administer. */
const access = (administers: boolean): Access => ({
  ...OPEN_ACCESS,
  principal: administers ? 'user:root' : 'user:ada',
  administers: () => administers,
});
const ADMIN = { Authorization: 'admin' };

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry({
    auth: () => ({
      authenticator: {
        authenticate: async ({ authorization }) => access(authorization === 'admin'),
        challenge: () => undefined,
      },
    }),
  });
});
afterAll(() => registry[Symbol.asyncDispose]());

async function api(method: string, path: string, body?: object): Promise<{ status: number; value: never }> {
  const headers = { ...ADMIN, ...(body && { 'Content-Type': 'application/json' }) };
  const options = { headers, ...(body && { body: JSON.stringify(body) }) };
  const answer = await registry.client.send(method, `/api/v1${path}`, options);
  return {
    status: answer.status,
    value: (answer.body.length > 0 ? json(answer) : undefined) as never,
  };
}

it('lets nobody but administrators make rules', async () => {
  for (const path of ['/retention/rules', '/retention/plan', '/immutable-tags', '/quotas', '/gc']) {
    const headers = { Authorization: 'user' };
    expect((await registry.client.send('GET', `/api/v1${path}`, { headers })).status, path).toBe(403);
    expect((await api('GET', path)).status, path).toBe(200);
  }
});

it('keeps immutable tags as they are, and says so in words that docker shows', async () => {
  const { payload } = await pushImage(registry.client, 'fixed/app', 'v1');
  await pushImage(registry.client, 'fixed/app', 'latest');
  const { status, value } = await api('POST', '/immutable-tags', { repositories: 'fixed/**', tags: 'v*' });
  expect(status).toBe(201);
  expect((await putManifest(registry.client, 'fixed/app', 'v1', payload)).status).toBe(201);
  const { answer: moved } = await pushImage(registry.client, 'fixed/app', 'v1', { annotations: { a: 'b' } });
  expect([moved.status, errorCode(moved)]).toEqual([409, 'DENIED']);
  expect(moved.body.toString()).toContain('tag v1 of fixed/app is immutable');
  const { answer, digest } = await pushImage(registry.client, 'fixed/app', 'v2', { annotations: { a: 'b' } });
  expect(answer.status).toBe(201);
  for (const reference of ['v2', digest]) {
    const path = `/v2/fixed/app/manifests/${reference}`;
    expect((await registry.client.send('DELETE', path)).status).toBe(409);
    expect((await registry.client.send('GET', path)).status).toBe(200);
  }
  expect((await putManifest(registry.client, 'fixed/app', 'latest', payload)).status).toBe(201);
  const gone = await registry.client.send('DELETE', '/v2/fixed/app/manifests/v2', { headers: ADMIN });
  expect(gone.status).toBe(202);
  expect((await api('DELETE', `/immutable-tags/${(value as { id: number }).id}`)).status).toBe(204);
  const { answer: free } = await pushImage(registry.client, 'fixed/app', 'v1', { annotations: { c: 'd' } });
  expect(free.status).toBe(201);
});

it('lets one of two pushes of a new immutable tag win', async () => {
  await api('POST', '/immutable-tags', { repositories: 'race/**', tags: '*' });
  const pushes = ['1', '2', '3', '4'].map((n) =>
    pushImage(registry.client, 'race/app', 'v1', { annotations: { n } }),
  );
  const statuses = (await Promise.all(pushes)).map(({ answer }) => answer.status);
  expect(statuses.sort()).toEqual([201, 409, 409, 409]);
});

it('keeps namespaces within their quota, and gives back what is deleted', async () => {
  expect((await api('PUT', '/quotas/small', { bytes: 1000 })).status).toBe(204);
  const kilobyte = Buffer.alloc(600, 'a');
  const digest = await pushBlob(registry.client, 'small/a', kilobyte);
  // The same blob again costs nothing.
  const mount = await registry.client.send('POST', `/v2/small/b/blobs/uploads/?mount=${digest}&from=small/a`);
  expect(mount.status).toBe(201);
  const location = await begin(registry.client, 'small/a');
  const refused = await registry.client.send('PATCH', location, { body: Buffer.alloc(600, 'b') });
  expect([refused.status, errorCode(refused)]).toEqual([403, 'DENIED']);
  expect(refused.body.toString()).toContain('quota exceeded: namespace small');
  expect((await registry.client.send('GET', location)).status).toBe(404);
  await pushBlob(registry.client, 'other/a', Buffer.alloc(600, 'b'));
  const { value } = await api('GET', '/quotas');
  expect((value as { items: object[] }).items).toContainEqual({ namespace: 'small', used: 600, limit: 1000 });
  await registry.housekeeping.gcStatus.makeDue();
  await registry.housekeeping.collector.run({ contentDelay: 0 });
  await pushBlob(registry.client, 'small/a', Buffer.alloc(900, 'c'));
  expect((await api('DELETE', '/quotas/small')).status).toBe(204);
  await pushBlob(registry.client, 'small/a', Buffer.alloc(900, 'd'));
});

it('refuses the manifest of a namespace past its quota', async () => {
  await pushImage(registry.client, 'full/a', 'v1');
  await api('PUT', '/quotas/full', { bytes: 1 });
  const { payload } = await pushImage(registry.client, 'elsewhere/a', 'v1');
  const answer = await putManifest(registry.client, 'full/a', 'v2', payload);
  expect([answer.status, errorCode(answer)]).toEqual([403, 'DENIED']);
});

it('says what each rule keeps and deletes, and why, and then does it', async () => {
  for (const [index, tag] of ['pr-1', 'pr-2', 'pr-3', 'v1'].entries()) {
    await pushImage(registry.client, 'kept/app', tag, { annotations: { tag } });
    await registry.db
      .updateTable('tags')
      .set({ updated_at: Date.now() - (10 - index) * 86_400_000 })
      .where('name', '=', tag)
      .execute();
  }
  await pushImage(registry.client, 'left/app', 'pr-1');
  const rule = { repositories: 'kept/**', tags: 'pr-*', keepNewest: 1 };
  const added = await api('POST', '/retention/rules', rule);
  expect(added).toMatchObject({ status: 201, value: { ...rule, subject: 'tagged' } });
  const { id } = added.value as { id: number };
  const { value } = await api('GET', '/retention/plan');
  expect((value as { items: object[] }).items).toMatchObject([
    { repository: 'kept/app', tag: 'pr-3', action: 'keep', rules: [id], why: 'is one of the 1 newest' },
    { tag: 'pr-2', action: 'delete', rules: [id], why: `rule ${id}: 1 newer` },
    { tag: 'pr-1', action: 'delete', rules: [id], why: `rule ${id}: 2 newer` },
  ]);
  await api('POST', '/retention/rules', { repositories: 'kept/app', tags: 'pr-1', keepPulledWithinDays: 1 });
  const repository = await registry.db
    .selectFrom('repositories')
    .select('id')
    .where('name', '=', 'kept/app')
    .executeTakeFirstOrThrow();
  await registry.db
    .insertInto('pulls')
    .values({
      repository_id: repository.id,
      kind: 'tag',
      reference: 'pr-1',
      pulls: 1,
      last_pulled_at: Date.now(),
    })
    .execute();
  expect(await registry.housekeeping.retention.run()).toEqual({ tags: 1 });
  const left = json(await registry.client.send('GET', '/v2/kept/app/tags/list'));
  expect(left).toMatchObject({ tags: ['pr-1', 'pr-3', 'v1'] });
  const { value: log } = await api('GET', '/audit?action=tag.delete&actor=system');
  expect(log).toMatchObject({
    items: [{ tag: 'pr-2', detail: { reason: 'retention', why: `rule ${id}: 1 newer` } }],
  });
});

it.each([
  ['/retention/rules', { repositories: 'a/**' }],
  ['/retention/rules', { repositories: '../x', keepNewest: 1 }],
  ['/retention/rules', { repositories: '**', tags: 'a b', keepNewest: 1 }],
  ['/immutable-tags', { repositories: '**', tags: '' }],
  ['/immutable-tags', { repositories: 'A' }],
])('refuses the nonsense of POST %s %j', async (path, body) => {
  expect((await api('POST', path, body)).status).toBe(400);
});

it('knows nothing of rules that are not there', async () => {
  for (const path of ['/retention/rules/999999', '/immutable-tags/999999', '/quotas/none']) {
    expect((await api('DELETE', path)).status).toBe(404);
  }
  await expect(registry.housekeeping.retentionRules.remove(999_999, SYSTEM)).rejects.toMatchObject({
    kind: 'not-found',
  });
});

it('tells how the collector is doing', async () => {
  const { value } = await api('GET', '/gc');
  expect(value).toMatchObject({
    queues: [{ queue: 'manifests' }, { queue: 'links' }, { queue: 'blobs' }, { queue: 'contents' }],
    deleted: { blobs: expect.any(Number), bytes: expect.any(Number) },
  });
});

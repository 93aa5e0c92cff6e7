import { afterAll, beforeAll, expect, it } from 'vitest';
import { json, pushImage } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
  await pushImage(registry.client, 'audit/a', 'v1');
  await pushImage(registry.client, 'audit/b', 'v1');
});
afterAll(() => registry[Symbol.asyncDispose]());

interface Page {
  items: { action: string; repository: string; actor: string; at: string; outcome: string }[];
  next?: string;
}

async function list(query = ''): Promise<Page> {
  const answer = await registry.client.send('GET', `/api/v1/audit${query}`);
  expect([answer.status, answer.body.toString()]).toEqual([200, expect.any(String)]);
  return json(answer) as Page;
}

it('has every write, the newest first', async () => {
  const { items, next } = await list();
  expect(next).toBeUndefined();
  expect(items.map(({ action, repository }) => `${action} ${repository}`)).toEqual(
    ['b', 'a'].flatMap((name) => [
      `manifest.push audit/${name}`,
      `blob.push audit/${name}`,
      `blob.push audit/${name}`,
    ]),
  );
  expect(items.every(({ actor, outcome }) => actor === 'anonymous' && outcome === 'done')).toBe(true);
});

it('is read in pages', async () => {
  const all = await list();
  const found: Page['items'] = [];
  for (let cursor = ''; ; ) {
    const page = await list(`?limit=4${cursor && `&cursor=${cursor}`}`);
    found.push(...page.items);
    if (!page.next) break;
    cursor = page.next;
  }
  expect(found).toEqual(all.items);
});

it('is filtered', async () => {
  expect((await list('?repository=audit%2Fa')).items).toHaveLength(3);
  expect((await list('?repository=audit%2Fa&action=manifest.push')).items).toHaveLength(1);
  expect((await list('?actor=user:ada')).items).toHaveLength(0);
  expect((await list('?outcome=denied')).items).toHaveLength(0);
  const { items } = await list();
  expect((await list(`?since=${items[0]!.at}`)).items[0]).toEqual(items[0]);
  expect((await list(`?until=${items.at(-1)!.at}`)).items).toEqual([]);
});

it.each([
  ['?limit=0', 'limit'],
  ['?limit=1001', 'limit'],
  ['?limit=x', 'limit'],
  ['?outcome=maybe', 'outcome'],
  ['?since=yesterday', 'since'],
  ['?actr=user:ada', ''],
  ['?limit=1&limit=2', 'limit'],
])('refuses %s', async (query, path) => {
  const answer = await registry.client.send('GET', `/api/v1/audit${query}`);
  expect(answer.status).toBe(400);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(json(answer)).toMatchObject({ status: 400, code: 'invalid', errors: [{ in: 'query', path }] });
});

it.each(['?cursor=nonsense', '?cursor=WzFd', '?cursor=Inh4Ig'])('refuses %s', async (query) => {
  const answer = await registry.client.send('GET', `/api/v1/audit${query}`);
  expect(json(answer)).toMatchObject({ status: 400, code: 'invalid' });
});

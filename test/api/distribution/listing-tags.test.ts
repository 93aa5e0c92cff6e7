import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Answer, errorCode, json, pushBlob, pushImage } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
  // Out of order, and so that code points and locales disagree.
  for (const tag of ['b', 'B', 'a', '_', '10', '9', 'a-b', 'a.b'])
    await pushImage(registry.client, 'list/tags', tag);
});
afterAll(() => registry[Symbol.asyncDispose]());

const sorted = ['10', '9', 'B', '_', 'a', 'a-b', 'a.b', 'b'];
const get = (path: string) => registry.client.send('GET', path);
const tags = (answer: Answer) => (json(answer) as { tags: string[] }).tags;
const next = (answer: Answer) => /^<([^>]+)>; rel="next"$/.exec(answer.headers.link as string)?.[1];

it('lists tags in lexical order', async () => {
  const answer = await get('/v2/list/tags/tags/list');
  expect(json(answer)).toEqual({ name: 'list/tags', tags: sorted });
  expect(answer.headers.link).toBeUndefined();
});

it.each([1, 3, 8, 9, 100_000_000])('pages tags by %d', async (n) => {
  const found: string[] = [];
  let path: string | undefined = `/v2/list/tags/tags/list?n=${n}`;
  while (path) {
    const answer = await get(path);
    expect(tags(answer).length).toBeLessThanOrEqual(n);
    found.push(...tags(answer));
    path = next(answer);
    expect(answer.headers.link === undefined).toBe(path === undefined);
  }
  expect(found).toEqual(sorted);
});

it('gives no tags and no link for n=0', async () => {
  const answer = await get('/v2/list/tags/tags/list?n=0');
  expect([tags(answer), answer.headers.link]).toEqual([[], undefined]);
});

it('goes on after any tag, there or not', async () => {
  expect(tags(await get('/v2/list/tags/tags/list?last=_'))).toEqual(['a', 'a-b', 'a.b', 'b']);
  expect(tags(await get('/v2/list/tags/tags/list?n=2&last=a'))).toEqual(['a-b', 'a.b']);
  expect(tags(await get('/v2/list/tags/tags/list?last=zzz'))).toEqual([]);
});

it.each(['n=-1', 'n=x', 'n=1.5', 'last=a%00', 'n=1&last=%0a'])('refuses %s', async (query) => {
  const answer = await get(`/v2/list/tags/tags/list?${query}`);
  expect([answer.status, errorCode(answer)]).toEqual([400, 'UNSUPPORTED']);
});

it('does not know the tags of a repository that is not there', async () => {
  const answer = await get('/v2/list/none/tags/list');
  expect([answer.status, errorCode(answer)]).toEqual([404, 'NAME_UNKNOWN']);
});

it('lists repositories with manifests, by pages', async () => {
  await pushImage(registry.client, 'list/another', 'v1');
  await pushBlob(registry.client, 'list/blobs-only', 'x');
  expect(json(await get('/v2/_catalog'))).toEqual({ repositories: ['list/another', 'list/tags'] });
  const first = await get('/v2/_catalog?n=1');
  expect(json(first)).toEqual({ repositories: ['list/another'] });
  expect(json(await get(next(first)!))).toEqual({ repositories: ['list/tags'] });
});

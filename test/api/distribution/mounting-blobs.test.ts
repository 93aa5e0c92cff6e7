import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import { pushBlob } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

let registry: TestRegistry;
let digest: Digest;
beforeAll(async () => {
  registry = await startTestRegistry();
  digest = await pushBlob(registry.client, 'mount/source', 'to be mounted');
});
afterAll(() => registry[Symbol.asyncDispose]());

const mount = (target: string, query: string) =>
  registry.client.send('POST', `/v2/${target}/blobs/uploads/?${query}`);
const exists = async (name: string) =>
  (await registry.client.send('HEAD', `/v2/${name}/blobs/${digest}`)).status === 200;

it('mounts from a repository that has the blob', async () => {
  const answer = await mount('mount/from', `mount=${digest}&from=mount/source`);
  expect(answer.status).toBe(201);
  expect(answer.headers.location).toBe(`/v2/mount/from/blobs/${digest}`);
  expect(answer.headers['docker-content-digest']).toBe(digest);
  expect(await exists('mount/from')).toBe(true);
});

it('mounts from anywhere when no source is named', async () => {
  expect((await mount('mount/any', `mount=${digest}`)).status).toBe(201);
  expect(await exists('mount/any')).toBe(true);
});

it.each([
  ['a source without the blob', () => `mount=${digest}&from=mount/none`],
  ['a digest nobody has', () => `mount=${digestOf('none')}`],
  ['a malformed digest', () => 'mount=sha256:00&from=mount/source'],
  ['a malformed source', () => `mount=${digest}&from=../source`],
])('begins an upload instead for %s', async (_, query) => {
  const answer = await mount('mount/fallback', query());
  expect(answer.status).toBe(202);
  expect(answer.headers.location).toMatch(/^\/v2\/mount\/fallback\/blobs\/uploads\//);
  expect(await exists('mount/fallback')).toBe(false);
});

it('keeps a mounted blob when the source lets go of it', async () => {
  await pushBlob(registry.client, 'mount/leaving', 'to be mounted');
  expect((await mount('mount/staying', `mount=${digest}&from=mount/leaving`)).status).toBe(201);
  await registry.client.send('DELETE', `/v2/mount/leaving/blobs/${digest}`);
  expect([await exists('mount/leaving'), await exists('mount/staying')]).toEqual([false, true]);
});

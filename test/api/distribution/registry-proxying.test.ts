import { afterAll, beforeAll, expect, it } from 'vitest';
import { pushImage } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// OCI distribution-spec, "Registry Proxying": whom `ns=` names.

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
  await pushImage(registry.client, 'named/image', 'v1');
});
afterAll(() => registry[Symbol.asyncDispose]());

const get = (method: string, query: string, host: string) =>
  registry.client.send(method, `/v2/named/image/manifests/v1${query}`, { headers: { Host: host } });

it.each([
  ['hub.example', 'hub.example'],
  ['hub.example:443', 'hub.example'],
  ['HUB.example:5000', 'hub.example:5000'],
])('says that the namespace %s is its own at %s', async (namespace, host) => {
  for (const method of ['GET', 'HEAD']) {
    const answer = await get(method, `?ns=${namespace}`, host);
    expect([answer.status, answer.headers['oci-namespace']]).toEqual([200, namespace]);
  }
});

it.each(['docker.io', 'hub.example:5001', 'hub.example.org', ''])(
  'leaves the namespace "%s" alone at hub.example',
  async (namespace) => {
    const answer = await get('GET', `?ns=${namespace}`, 'hub.example');
    expect([answer.status, answer.headers['oci-namespace']]).toEqual([200, undefined]);
  },
);

it('says nothing to those who name none', async () => {
  expect((await get('GET', '', 'hub.example')).headers['oci-namespace']).toBeUndefined();
});

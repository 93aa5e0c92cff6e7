import { afterAll, beforeAll, expect, it } from 'vitest';
import { errorCode, json, pushImage } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// OCI distribution-spec, extensions/_oci.md, and the catalog that Docker's clients know.

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

interface Extension {
  name: string;
  url: string;
  endpoints: string[];
}

async function discover(path: string): Promise<Extension[]> {
  const answer = await registry.client.send('GET', path);
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
  return (json(answer) as { extensions: Extension[] }).extensions;
}

it('tells what the registry has beyond the specification, and each is there', async () => {
  const extensions = await discover('/v2/_oci/ext/discover');
  expect(extensions.map(({ name }) => name)).toEqual(['_oci', '_catalog']);
  for (const { url, endpoints } of extensions) {
    expect(URL.canParse(url)).toBe(true);
    for (const endpoint of endpoints) {
      expect((await registry.client.send('GET', `/v2/${endpoint}`)).status).toBe(200);
    }
  }
});

it('tells what a repository has', async () => {
  await pushImage(registry.client, 'extended/image', 'v1');
  const extensions = await discover('/v2/extended/image/_oci/ext/discover');
  expect(extensions.map(({ endpoints }) => endpoints)).toEqual([['_oci/ext/discover']]);
});

it.each([
  ['/v2/_none/ext/discover', 404, 'NAME_UNKNOWN'],
  ['/v2/_oci/ext/none', 404, 'NAME_UNKNOWN'],
  ['/v2/UPPER/_oci/ext/discover', 400, 'NAME_INVALID'],
])('does not know %s', async (path, status, code) => {
  const answer = await registry.client.send('GET', path);
  expect([answer.status, errorCode(answer)]).toEqual([status, code]);
});

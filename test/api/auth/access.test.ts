import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { type AuthRegistry, startAuthRegistry } from '#test/registry/auth-registry.ts';
import { describe as descriptor, errorCode, json } from '#test/registry/distribution-client.ts';

/** What a token lets its bearer do, and nothing else. */

let registry: AuthRegistry;
const LAYER = 'a layer';
const layer = digestOf(LAYER);

beforeAll(async () => {
  registry = await startAuthRegistry();
  await registry.addUser('root', '** admin');
  await registry.addUser('ada', 'team/** pull,push', 'private/* pull');
  await registry.addUser('bob', 'team/app pull');
  await registry.grant('anonymous', 'public/* pull');
  for (const name of ['team/app', 'team/other', 'private/app', 'public/app', 'secret/app']) await seed(name);
});
afterAll(() => registry[Symbol.asyncDispose]());

/** An image of one layer. */
async function seed(name: string): Promise<void> {
  const token = await registry.token('root', `repository:${name}:pull,push`);
  for (const blob of ['{}', LAYER]) {
    const path = `/v2/${name}/blobs/uploads/?digest=${digestOf(blob)}`;
    expect((await registry.send('POST', path, token, { body: blob })).status).toBe(201);
  }
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: descriptor('{}', MEDIA_TYPE.ociConfig),
    layers: [descriptor(LAYER, MEDIA_TYPE.ociLayer)],
  });
  const headers = { 'Content-Type': MEDIA_TYPE.ociManifest };
  const put = await registry.send('PUT', `/v2/${name}/manifests/latest`, token, { body: manifest, headers });
  expect(put.status).toBe(201);
}

const status = async (method: string, path: string, token: string | undefined) =>
  (await registry.send(method, path, token)).status;

it.each([
  ['GET', '/v2/team/app/manifests/latest', 'pull', 200],
  ['HEAD', '/v2/team/app/manifests/latest', 'pull', 200],
  ['GET', `/v2/team/app/blobs/${layer}`, 'pull', 200],
  ['GET', '/v2/team/app/tags/list', 'pull', 200],
  ['GET', `/v2/team/app/referrers/${layer}`, 'pull', 200],
  ['POST', '/v2/team/app/blobs/uploads/', 'pull', 401],
  ['PUT', '/v2/team/app/manifests/x', 'pull', 401],
  ['PATCH', '/v2/team/app/blobs/uploads/00000000-0000-0000-0000-000000000000', 'pull', 401],
  ['GET', '/v2/team/app/blobs/uploads/00000000-0000-0000-0000-000000000000', 'pull', 401],
  ['DELETE', '/v2/team/app/blobs/uploads/00000000-0000-0000-0000-000000000000', 'pull', 401],
  ['POST', '/v2/team/app/blobs/uploads/', 'push', 202],
  ['GET', '/v2/team/app/manifests/latest', 'push', 401],
  ['DELETE', '/v2/team/app/manifests/latest', 'pull,push', 401],
  ['DELETE', `/v2/team/app/blobs/${layer}`, 'pull,push', 401],
])('%s %s with a token to %s: %i', async (method, path, actions, expected) => {
  const answer = await registry.send(
    method,
    path,
    await registry.token('root', `repository:team/app:${actions}`),
  );
  expect(answer.status).toBe(expected);
  if (expected !== 401) return;
  expect(answer.headers['www-authenticate']).toMatch(
    /scope="repository:team\/app:[a-z,]+",error="insufficient_scope"$/,
  );
  expect(errorCode(answer)).toBe('DENIED');
});

it('is for the repositories that it names alone, whatever else its bearer may', async () => {
  const token = await registry.token('root', 'repository:team/app:pull,push,delete');
  for (const name of ['team/other', 'team/app/more', 'team', 'app', 'team/ap', 'team/appx']) {
    expect(await status('GET', `/v2/${name}/manifests/latest`, token)).toBe(401);
  }
});

it('lets the anonymous pull what is public, with a token and without', async () => {
  const token = await registry.token(undefined, 'repository:public/app:pull');
  for (const it of [undefined, token]) {
    expect(await status('GET', '/v2/public/app/manifests/latest', it)).toBe(200);
    expect(await status('GET', `/v2/public/app/blobs/${layer}`, it)).toBe(200);
    expect(await status('POST', '/v2/public/app/blobs/uploads/', it)).toBe(401);
    expect(await status('GET', '/v2/team/app/manifests/latest', it)).toBe(401);
  }
});

it('answers alike for what is there and what is not', async () => {
  const token = await registry.token('bob', 'repository:team/app:pull');
  const [there, not] = await Promise.all(
    ['secret/app', 'secret/none'].map((name) => registry.send('GET', `/v2/${name}/manifests/latest`, token)),
  );
  expect(there!.status).toBe(401);
  expect(not!.body.toString().replaceAll('none', 'app')).toBe(there!.body.toString());
});

const catalog = async (token: string | undefined, query = '') => {
  const answer = await registry.send('GET', `/v2/_catalog${query}`, token);
  return answer.status === 200 ? (json(answer) as { repositories: string[] }).repositories : answer.status;
};

it('lists in the catalog what may be pulled', async () => {
  const scope = 'registry:catalog:*';
  expect(await catalog(await registry.token('bob', scope))).toEqual(['public/app', 'team/app']);
  expect(await catalog(await registry.token('ada', scope))).toEqual([
    'private/app',
    'public/app',
    'team/app',
    'team/other',
  ]);
  expect(await catalog(await registry.token(undefined, scope))).toEqual(['public/app']);
  expect(await catalog(await registry.token('root', scope))).toHaveLength(5);
  expect(await catalog(await registry.token('ada', scope), '?n=2&last=private/app')).toEqual([
    'public/app',
    'team/app',
  ]);
});

it('asks for a token for the catalog', async () => {
  expect(await catalog(undefined)).toBe(401);
  const answer = await registry.send(
    'GET',
    '/v2/_catalog',
    await registry.token('root', 'repository:team/app:pull'),
  );
  expect(answer.status).toBe(401);
  expect(answer.headers['www-authenticate']).toContain('scope="registry:catalog:*"');
});

const mount = async (token: string, query: string) =>
  status('POST', `/v2/team/mounted/blobs/uploads/?mount=${query}`, token);

it('mounts from where its bearer may pull, and nowhere else', async () => {
  const own = 'repository:team/mounted:pull,push';
  const asked = await registry.token('ada', own, 'repository:private/app:pull', 'repository:secret/app:pull');
  const granted = await registry.token('ada', own);
  for (const token of [asked, granted]) {
    expect(await mount(token, `${layer}&from=secret/app`)).toBe(202);
    expect(await mount(token, `${layer}&from=private/app`)).toBe(201);
  }
});

it('mounts without a source only from where its bearer may pull', async () => {
  const blob = 'nowhere else';
  const digest: Digest = digestOf(blob);
  const root = await registry.token('root', 'repository:secret/app:pull,push');
  await registry.send('POST', `/v2/secret/app/blobs/uploads/?digest=${digest}`, root, { body: blob });
  const ada = await registry.token('ada', 'repository:team/mounted:pull,push', 'repository:secret/app:pull');
  expect(await mount(ada, digest)).toBe(202);
  expect(await status('HEAD', `/v2/team/mounted/blobs/${digest}`, ada)).toBe(404);
});

it('mounts without a source from where its bearer was granted pulls: no token can be asked for that', async () => {
  const own = 'repository:team/mounted:pull,push';
  const blob = 'somewhere private';
  const root = await registry.token('root', 'repository:private/app:pull,push');
  const path = `/v2/private/app/blobs/uploads/?digest=${digestOf(blob)}`;
  expect((await registry.send('POST', path, root, { body: blob })).status).toBe(201);
  const ada = await registry.token('ada', own);
  expect(await mount(ada, digestOf(blob))).toBe(201);
});

it.each([
  '/v2/team%2Fapp/manifests/latest',
  '/v2/secret%2Fapp/manifests/latest',
  '/v2/team/app/..%2f..%2fsecret/app/manifests/latest',
  '/v2/team/app/../../secret/app/manifests/latest',
  '/v2/team/app/%2e%2e/%2e%2e/secret/app/manifests/latest',
  '/v2//secret/app/manifests/latest',
  '/v2/./secret/app/manifests/latest',
  '/v2/Secret/App/manifests/latest',
  '/v2/secret/app/manifests/latest?x=/v2/team/app/manifests/latest',
  '/v2/secret/app/manifests/latest#/v2/team/app/manifests/latest',
  '/v2/secret/app%00/manifests/latest',
  '/v2/secret%252Fapp/manifests/latest',
  '/v2/secret/app/manifests/latest;/v2/team/app/manifests/latest',
  '/v2/team/app/manifests/latest/../../../../secret/app/manifests/latest',
  '/v2/team/app/blobs/uploads/..%2f..%2f..%2fsecret%2fapp%2fmanifests%2flatest',
  '/V2/secret/app/manifests/latest',
  'http://elsewhere/v2/secret/app/manifests/latest',
])('%s is not a way around', async (path) => {
  const token = await registry.token('bob', 'repository:team/app:pull');
  const answer = await registry.send('GET', path, token);
  // Another way to write the name of what may be pulled is none around anything.
  if (answer.status === 200) expect(path).toBe('/v2/team%2Fapp/manifests/latest');
  else expect([400, 401, 404]).toContain(answer.status);
  expect(await status('DELETE', path, token)).not.toBe(202);
});

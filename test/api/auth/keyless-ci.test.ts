import { createHmac, randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type AuthRegistry,
  STAGE,
  startAuthRegistry,
  type TokenReply,
} from '#test/registry/auth-registry.ts';
import { json } from '#test/registry/distribution-client.ts';
import { sendJson, startIssuer, type TestIssuer } from './oidc-issuer.ts';

/** CI jobs push with the OpenID token of their run, and without a secret. */

let registry: AuthRegistry;
let issuer: TestIssuer;
const AUDIENCE = 'https://registry.example';
const RUN = {
  aud: AUDIENCE,
  sub: 'repo:acme/app:ref:refs/heads/main',
  repository: 'acme/app',
  ref: 'refs/heads/main',
};

beforeAll(async () => {
  [registry, issuer] = await Promise.all([startAuthRegistry(), startIssuer()]);
  const { trust } = registry.auth;
  await trust.put(
    {
      name: 'main',
      issuer: issuer.url,
      audience: AUDIENCE,
      claims: { sub: 'repo:acme/*:ref:refs/heads/main' },
    },
    STAGE,
  );
  await trust.put(
    { name: 'any', issuer: issuer.url, audience: AUDIENCE, claims: { repository: ['acme/app', 'acme/lib'] } },
    STAGE,
  );
  await registry.grant('federated:main', 'acme/** pull,push');
  await registry.grant('federated:any', 'cache/** pull');
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
});

const SCOPE = 'repository:acme/app:pull,push repository:cache/x:pull,push';
const logIn = (password: string, username = 'oidc') =>
  registry.getToken(`scope=${encodeURIComponent(SCOPE)}`, `${username}:${password}`);
const granted = async (token: string, username?: string) => {
  const answer = await logIn(token, username);
  return answer.status === 200 ? (json(answer) as TokenReply).scope : answer.status;
};

it('gives a push token for the token of a run, as password of the user oidc', async () => {
  const answer = await logIn(await issuer.token(RUN));
  expect(answer.status).toBe(200);
  const { token, scope, expires_in, ...rest } = json(answer) as TokenReply;
  expect(scope).toBe('repository:acme/app:pull,push repository:cache/x:pull');
  expect(expires_in).toBe(600);
  expect(rest).not.toHaveProperty('refresh_token');
  expect(decodeJwt(token)).toMatchObject({ sub: 'federated:any', principal: `federated:any:${RUN.sub}` });
  expect((await registry.send('POST', '/v2/acme/app/blobs/uploads/', token)).status).toBe(202);
});

it('gives what one trust policy alone grants to who names it', async () => {
  expect(await granted(await issuer.token(RUN), 'oidc+main')).toBe('repository:acme/app:pull,push');
  expect(await granted(await issuer.token(RUN), 'oidc+any')).toBe('repository:cache/x:pull');
  expect(await granted(await issuer.token(RUN), 'oidc+none')).toBe(401);
});

it('exchanges it (RFC 8693)', async () => {
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await issuer.token(RUN),
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    scope: SCOPE,
  };
  const answer = await registry.postToken(form);
  expect(answer.status).toBe(200);
  expect(json(answer)).toMatchObject({
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    scope: 'repository:acme/app:pull,push repository:cache/x:pull',
  });
  expect((await registry.postToken({ ...form, subject_token_type: 'password' })).status).toBe(400);
  expect((await registry.postToken({ ...form, subject_token: 'x' })).status).toBe(401);
});

it('lists to a run what it may pull', async () => {
  const answer = await registry.getToken('scope=registry:catalog:*', `oidc:${await issuer.token(RUN)}`);
  const listed = await registry.send('GET', '/v2/_catalog', (json(answer) as TokenReply).token);
  expect(listed.status).toBe(200);
});

it.each([
  ['another branch', { ...RUN, sub: 'repo:acme/app:ref:refs/heads/dev', repository: 'acme/other' }],
  ['another owner', { ...RUN, sub: 'repo:evil/app:ref:refs/heads/main', repository: 'evil/app' }],
  ['a subject that only holds a good one', { ...RUN, sub: `x${RUN.sub}`, repository: 'x' }],
  ['another audience', { ...RUN, aud: 'https://elsewhere.example' }],
  ['no audience', { ...RUN, aud: undefined }],
  ['an end in the past', { ...RUN, exp: Math.floor(Date.now() / 1000) - 10 }],
  ['no end', { ...RUN, exp: undefined }],
  ['no subject', { ...RUN, sub: undefined }],
  ['another issuer', { ...RUN, iss: 'https://elsewhere.example' }],
  ['an issuer with another end', { ...RUN, iss: 'http://127.0.0.1:1/' }],
])('refuses a token with %s', async (_, claims) => {
  expect(await granted(await issuer.token(claims as typeof RUN))).toBe(401);
});

it('refuses forged tokens', async () => {
  const own = await issuer.token(RUN);
  const [head, payload] = own.split('.') as [string, string, string];
  const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  await using other = await startIssuer();
  const mac = `${b64({ alg: 'HS256', kid: 'first' })}.${payload}`;
  for (const token of [
    `${b64({ alg: 'none' })}.${payload}.`,
    `${mac}.${createHmac('sha256', 'first').update(mac).digest('base64url')}`,
    `${head}.${payload}.${'A'.repeat(342)}`,
    await other.token({ ...RUN, iss: issuer.url }),
    'not.a.token',
    'x'.repeat(10_000),
    '',
  ]) {
    expect(await granted(token)).toBe(401);
  }
});

it('follows the issuer to a new key', async () => {
  await using fresh = await startIssuer();
  const { trust } = registry.auth;
  await trust.put({ name: 'fresh', issuer: fresh.url, audience: AUDIENCE, claims: { sub: RUN.sub } }, STAGE);
  expect(await granted(await fresh.token(RUN))).toBe('');
  for (let runs = 0; runs < 5; runs++) await logIn(await fresh.token({ ...RUN, jti: randomUUID() }));
  expect([...fresh.requests.values()]).toEqual([1, 1]);
  await trust.remove('fresh', STAGE);
  expect(await granted(await fresh.token(RUN))).toBe(401);
});

it.each([
  ['another issuer', (it: TestIssuer) => Object.assign(it.document, { issuer: 'https://elsewhere.example' })],
  [
    'keys on another machine in plain text',
    (it) => Object.assign(it.document, { jwks_uri: 'http://10.0.0.1/keys' }),
  ],
  ['keys in a file', (it) => Object.assign(it.document, { jwks_uri: 'file:///etc/passwd' })],
  ['no keys', (it) => Object.assign(it.document, { jwks_uri: undefined })],
  [
    'a redirect',
    (it) => it.on('/keys', (_, response) => response.writeHead(302, { Location: '/other' }).end()),
  ],
  ['nonsense', (it) => it.on('/keys', (_, response) => response.end('<html>'))],
  ['an endless answer', (it) => it.on('/keys', (_, response) => response.end('x'.repeat(1024 * 1024)))],
  ['an error', (it) => it.on('/keys', (_, response) => sendJson(response, 500, {}))],
] as [string, (it: TestIssuer) => void][])('gives nothing when discovery leads to %s', async (_, change) => {
  await using odd = await startIssuer();
  change(odd);
  const name = `odd-${randomUUID()}`;
  await registry.auth.trust.put(
    { name, issuer: odd.url, audience: AUDIENCE, claims: { sub: RUN.sub } },
    STAGE,
  );
  expect([401, 503]).toContain(await granted(await odd.token(RUN)));
});

it.each([
  { issuer: 'http://issuer.example' },
  { issuer: 'http://localhost.example' },
  { issuer: 'http://10.0.0.1' },
  { issuer: 'https://user:password@issuer.example' },
  { issuer: 'file:///etc/passwd' },
  { claims: {} },
  { claims: { sub: '*' } },
  { claims: { sub: ['repo:acme/*', '*'] } },
  { claims: { sub: [] } },
  { audience: '' },
  { name: '../x' },
])('refuses a policy with %j', async (change) => {
  const policy = { name: 'bad', issuer: issuer.url, audience: AUDIENCE, claims: { sub: 'x' }, ...change };
  await expect(registry.auth.trust.put(policy as never, STAGE)).rejects.toMatchObject({ kind: 'invalid' });
});

it('records who was let in, and who was not', async () => {
  const rows = await registry.db
    .selectFrom('events')
    .select(['action', 'outcome', 'actor'])
    .where('action', 'in', ['login.exchange', 'login.password'])
    .execute();
  expect(rows).toContainEqual({
    action: 'login.exchange',
    outcome: 'done',
    actor: `federated:any:${RUN.sub}`,
  });
  expect(rows).toContainEqual({ action: 'login.password', outcome: 'denied', actor: 'anonymous' });
});

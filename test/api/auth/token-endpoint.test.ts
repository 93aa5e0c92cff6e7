import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type AuthRegistry,
  basicHeader,
  PASSWORD,
  startAuthRegistry,
  type TokenReply,
} from '#test/registry/auth-registry.ts';
import { type Answer, errorCode, json } from '#test/registry/distribution-client.ts';

let registry: AuthRegistry;
beforeAll(async () => {
  registry = await startAuthRegistry();
  await registry.addUser('ada', 'team/** pull,push');
  await registry.grant('anonymous', 'public/* pull');
});
afterAll(() => registry[Symbol.asyncDispose]());

const reply = (answer: Answer) => json(answer) as TokenReply;
const accessOf = (token: string) => decodeJwt<{ access: unknown[] }>(token).access;

it('challenges who comes without a token, and names where to get one', async () => {
  const answer = await registry.client.send('GET', '/v2/');
  expect(answer.status).toBe(401);
  expect(errorCode(answer)).toBe('UNAUTHORIZED');
  expect(answer.headers['www-authenticate']).toBe(
    `Bearer realm="http://${registry.address}/token",service="slipway"`,
  );
});

it('names the scope that a request needs', async () => {
  const answer = await registry.client.send('POST', '/v2/team/app/blobs/uploads/');
  expect(answer.headers['www-authenticate']).toContain('scope="repository:team/app:pull,push"');
});

it('takes no password outside of the token endpoint', async () => {
  const answer = await registry.client.send('GET', '/v2/', { headers: basicHeader(`ada:${PASSWORD}`) });
  expect(answer.status).toBe(401);
  expect(answer.headers['www-authenticate']).toMatch(/^Bearer .*error="invalid_token"$/);
});

it('GET: gives a token with all the fields that clients read', async () => {
  const answer = await registry.getToken(
    'service=slipway&scope=repository:team/app:pull,push&account=ada&client_id=docker',
    `ada:${PASSWORD}`,
  );
  expect(answer.status).toBe(200);
  expect(answer.headers['cache-control']).toBe('no-store');
  const { token, access_token, expires_in, issued_at, ...rest } = reply(answer);
  expect(access_token).toBe(token);
  expect(expires_in).toBe(300);
  expect(new Date(issued_at).toISOString()).toBe(issued_at);
  expect(rest).toEqual({
    token_type: 'Bearer',
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    scope: 'repository:team/app:pull,push',
  });
  expect(decodeProtectedHeader(token)).toMatchObject({
    alg: 'ES256',
    typ: 'at+jwt',
    kid: expect.any(String),
  });
  expect(decodeJwt(token)).toMatchObject({
    iss: 'slipway',
    aud: 'slipway',
    sub: 'user:ada',
    access: [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }],
    jti: expect.any(String),
  });
});

it('leaves out what may not be done, without an error', async () => {
  const scopes = [
    'repository:team/app:pull,delete',
    'repository:other/app:pull',
    'repository:public/x:pull,push',
  ];
  const query = scopes.map((scope) => `scope=${scope}`).join('&');
  const answer = await registry.getToken(query, `ada:${PASSWORD}`);
  expect(reply(answer).scope).toBe('repository:team/app:pull repository:public/x:pull');
});

it('takes several scopes in one parameter, and joins those for one repository', async () => {
  const answer = await registry.getToken(
    'scope=repository:team/app:pull%20repository:team/app:push%20repository:team/b:pull',
    `ada:${PASSWORD}`,
  );
  expect(reply(answer).scope).toBe('repository:team/app:pull,push repository:team/b:pull');
});

it('gives for * what may be done', async () => {
  const answer = await registry.getToken('scope=repository:team/app:*', `ada:${PASSWORD}`);
  expect(reply(answer).scope).toBe('repository:team/app:pull,push');
});

it('gives the anonymous a token for what is public', async () => {
  const answer = await registry.getToken(
    'scope=repository:public/x:pull,push&scope=repository:team/app:pull',
  );
  expect(reply(answer).scope).toBe('repository:public/x:pull');
  expect(reply(answer)).not.toHaveProperty('refresh_token');
});

it('POST: password, with a refresh token when asked, and the scope in the reply', async () => {
  const form = {
    grant_type: 'password',
    username: 'ada',
    password: PASSWORD,
    service: 'slipway',
    client_id: 'containerd',
    scope: 'repository:team/app:pull',
  };
  expect(reply(await registry.postToken(form))).not.toHaveProperty('refresh_token');
  const first = reply(await registry.postToken({ ...form, access_type: 'offline' }));
  expect(first.scope).toBe('repository:team/app:pull');
  expect(first.refresh_token).toMatch(/^slt_/);

  const second = await registry.postToken({
    grant_type: 'refresh_token',
    refresh_token: first.refresh_token!,
    service: 'slipway',
    client_id: 'docker',
    scope: 'repository:team/b:push',
  });
  expect(second.status).toBe(200);
  expect(accessOf(reply(second).access_token)).toEqual([
    { type: 'repository', name: 'team/b', actions: ['push'] },
  ]);
});

it('GET: gives a refresh token to who asks for an offline one', async () => {
  const answer = await registry.getToken('offline_token=true&client_id=docker', `ada:${PASSWORD}`);
  const { refresh_token } = reply(answer);
  const refreshed = await registry.postToken({ grant_type: 'refresh_token', refresh_token: refresh_token! });
  expect(refreshed.status).toBe(200);
});

it.each([
  ['a wrong password', 'ada:wrong password'],
  ['an unknown user', `eve:${PASSWORD}`],
  ['no password', 'ada:'],
  ['no user', `:${PASSWORD}`],
  ['another case of the name', `Ada:${PASSWORD}`],
])('refuses %s', async (_, basic) => {
  const answer = await registry.getToken('scope=repository:team/app:pull', basic);
  expect(answer.status).toBe(401);
  expect(json(answer)).toMatchObject({
    errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }],
  });
  expect(answer.headers['www-authenticate']).toMatch(/^Basic /);
});

it.each([
  ['another service', 'service=other', undefined],
  ['too many scopes', Array.from({ length: 101 }, () => 'scope=repository:a:pull').join('&'), undefined],
])('refuses %s with 400', async (_, query, basic) => {
  expect((await registry.getToken(query, basic)).status).toBe(400);
});

it.each([
  ['Basic !!', 401],
  [`Basic ${Buffer.from('nocolon').toString('base64')}`, 401],
  ['Bearer abc', 401],
  ['Digest x', 401],
])('refuses the Authorization %s', async (header, status) => {
  const answer = await registry.client.send('GET', '/token', { headers: { Authorization: header } });
  expect(answer.status).toBe(status);
});

it.each([
  [{ grant_type: 'password', username: 'ada' }, 400, 'invalid_request'],
  [{ username: 'ada' }, 400, 'invalid_request'],
  [{ grant_type: 'client_credentials' }, 400, 'unsupported_grant_type'],
  [{ grant_type: 'password', username: 'ada', password: 'wrong' }, 401, 'invalid_grant'],
  [{ grant_type: 'refresh_token', refresh_token: 'slt_x' }, 401, 'invalid_grant'],
])('POST: refuses %j', async (form, status, error) => {
  const answer = await registry.postToken(form as unknown as Record<string, string>);
  expect(answer.status).toBe(status);
  expect(json(answer)).toMatchObject({ error });
});

it('POST: refuses what is no form, and one that is too large', async () => {
  const plain = await registry.client.send('POST', '/token', { body: 'grant_type=password' });
  expect(plain.status).toBe(400);
  const large = await registry.postToken({ grant_type: 'password', username: 'a'.repeat(100_000) });
  expect(large.status).toBe(413);
});

it('publishes the keys that tokens are signed with, and no private part of them', async () => {
  const token = await registry.token('ada');
  const answer = await registry.client.send('GET', '/.well-known/jwks.json');
  const { keys } = json(answer) as { keys: Record<string, string>[] };
  expect(keys.map(({ kid }) => kid)).toContain(decodeProtectedHeader(token).kid);
  for (const key of keys) {
    expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  }
});

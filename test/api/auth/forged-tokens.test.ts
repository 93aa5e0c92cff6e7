import { createHmac, randomUUID, type webcrypto } from 'node:crypto';
import {
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type JWK,
  SignJWT,
} from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuthRegistry, startAuthRegistry } from '#test/registry/auth-registry.ts';
import { errorCode, json } from '#test/registry/distribution-client.ts';

/** A token that is not ours, not for us or not for now opens nothing. */

let registry: AuthRegistry;
let own: string;
let publicKey: JWK & { kid: string };
const SCOPE = 'repository:team/app:pull,push';

beforeAll(async () => {
  registry = await startAuthRegistry();
  await registry.addUser('ada', 'team/** pull,push');
  own = await registry.token('ada', SCOPE);
  const answer = await registry.client.send('GET', '/.well-known/jwks.json');
  publicKey = (json(answer) as { keys: (JWK & { kid: string })[] }).keys[0]!;
});
afterAll(() => registry[Symbol.asyncDispose]());

const claims = () => {
  const now = Math.floor(Date.now() / 1000);
  const access = [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }];
  return {
    iss: 'slipway',
    aud: 'slipway',
    sub: 'user:ada',
    jti: randomUUID(),
    iat: now,
    nbf: now,
    exp: now + 300,
    access,
  };
};

const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const header = (more: object = {}) => ({ ...decodeProtectedHeader(own), ...more });

async function refused(token: string, path = '/v2/team/app/tags/list'): Promise<void> {
  const answer = await registry.send('GET', path, token);
  expect(answer.status).toBe(401);
  expect(errorCode(answer)).toBe('UNAUTHORIZED');
  expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
}

/** Signed with the key that is really in use, which only the database has. */
async function signedByUs(payload: object, protectedHeader: object = header()): Promise<string> {
  const row = await registry.db.selectFrom('signing_keys').select('private_key').executeTakeFirstOrThrow();
  const key = await importJWK(JSON.parse(row.private_key) as JWK, 'ES256');
  return await new SignJWT(payload as Record<string, unknown>)
    .setProtectedHeader(protectedHeader as { alg: string })
    .sign(key);
}

it('the test signs as the registry does', async () => {
  expect((await registry.send('GET', '/v2/', await signedByUs(claims()))).status).toBe(200);
});

it('no signature, in every spelling of none', async () => {
  for (const alg of ['none', 'None', 'NONE', 'nOnE', ''])
    await refused(`${b64(header({ alg }))}.${b64(claims())}.`);
});

it('a MAC with the public key as its secret', async () => {
  const spki = await exportSPKI(
    (await importJWK(publicKey, 'ES256', { extractable: true })) as webcrypto.CryptoKey,
  );
  for (const secret of [spki, spki.trim(), JSON.stringify(publicKey), publicKey.x!]) {
    const signed = `${b64(header({ alg: 'HS256' }))}.${b64(claims())}`;
    await refused(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`);
  }
});

it('the key of another registry, under its own id and under ours', async () => {
  const { privateKey, publicKey: theirs } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(theirs);
  const headers = [
    header(),
    header({ kid: 'other' }),
    header({ kid: undefined }),
    header({ jwk }),
    header({ kid: undefined, jwk }),
    header({ jku: `http://${registry.address}/keys.json` }),
    header({ x5u: `http://${registry.address}/cert.pem` }),
  ];
  for (const it of headers)
    await refused(await new SignJWT(claims()).setProtectedHeader(it as { alg: string }).sign(privateKey));
});

it.each(['../../../../etc/passwd', "' OR 1=1 --", '__proto__', 'constructor', '', 'x'.repeat(5_000)])(
  'a key id that is a trick: %s',
  async (kid) => {
    await refused(await signedByUs(claims(), header({ kid })));
  },
);

it('a key id that is no string', async () => {
  for (const kid of [null, 1, [publicKey.kid], { toString: publicKey.kid }]) {
    const signed = `${b64(header({ kid }))}.${b64(claims())}`;
    await refused(`${signed}.${own.split('.')[2]}`);
  }
});

it.each([
  ['expired', { exp: Date.now() / 1000 - 1 }],
  ['not valid yet', { nbf: Date.now() / 1000 + 60 }],
  ['issued in the future', { nbf: Date.now() / 1000 + 60, iat: Date.now() / 1000 + 60 }],
  ['of another issuer', { iss: 'elsewhere' }],
  ['for another audience', { aud: 'elsewhere' }],
  ['for a list of others', { aud: ['elsewhere', 'Slipway'] }],
  ['without an issuer', { iss: undefined }],
  ['without an audience', { aud: undefined }],
  ['without an end', { exp: undefined }],
  ['without a beginning', { nbf: undefined }],
  ['without a time of issue', { iat: undefined }],
  ['without a subject', { sub: undefined }],
  ['without access', { access: undefined }],
  ['with an end that is text', { exp: '9999999999' }],
])('one of ours that is %s', async (_, change) => {
  await refused(await signedByUs({ ...claims(), ...change }));
});

it('a JWT of ours that is no access token', async () => {
  for (const typ of ['JWT', undefined, 'logout+jwt'])
    await refused(await signedByUs(claims(), header({ typ })));
});

it('one that was changed after it was signed', async () => {
  const [head, payload, signature] = own.split('.') as [string, string, string];
  const other = b64({ ...decodeJwt(own), sub: 'user:root' });
  await refused(`${head}.${other}.${signature}`);
  await refused(`${head}.${payload}.${signature.slice(0, -4)}AAAA`);
  await refused(`${head}.${payload}.${'A'.repeat(86)}`);
  await refused(`${head}.${payload}.`);
  await refused(`${b64(header({ typ: 'x' }))}.${payload}.${signature}`);
});

it.each(['a', 'a.b', 'a.b.c', '....', 'e30.e30.e30', `${'A'.repeat(10_000)}.B.C`])('%s', refused);

it('unknown critical headers', async () => {
  const signed = `${b64(header({ crit: ['x'], x: 1 }))}.${b64(claims())}`;
  await refused(`${signed}.${own.split('.')[2]}`);
});

it('one that is larger than any of ours', async () => {
  const access = [{ type: 'repository', name: 'a'.repeat(9_000), actions: ['pull'] }];
  const answer = await registry.send(
    'GET',
    '/v2/',
    await signedByUs({ ...claims(), access, more: 'x'.repeat(1_000) }),
  );
  expect(answer.status).toBe(401);
});

it.each(['Bearer', 'Bearer ', 'Bearer  ', 'bearer a b', 'Token x', 'Basic', '\tBearer x'])(
  'the Authorization "%s"',
  async (authorization) => {
    const answer = await registry.client.send('GET', '/v2/', { headers: { Authorization: authorization } });
    expect(answer.status).toBe(401);
  },
);

it('two tokens at once', async () => {
  const answer = await registry.client.send('GET', '/v2/', {
    headers: { Authorization: `Bearer ${own}, Bearer ${own}` },
  });
  expect(answer.status).toBe(401);
});

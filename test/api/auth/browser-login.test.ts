import type { JWTPayload } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  type AuthRegistry,
  PASSWORD,
  STAGE,
  startAuthRegistry,
  type TokenReply,
} from '#test/registry/auth-registry.ts';
import { type Answer, json, type SendOptions } from '#test/registry/distribution-client.ts';
import { startIssuer, type TestIssuer } from './oidc-issuer.ts';

/** People log in with a browser, by an OpenID provider or with their password. */

let registry: AuthRegistry;
let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await startIssuer();
  registry = await startAuthRegistry({
    people: {
      issuer: issuer.url,
      clientId: 'slipway-client',
      clientSecret: 'client-secret',
      scopes: ['profile'],
      userClaim: 'preferred_username',
      groupsClaim: 'groups',
      groups: ['devs', 'ops'],
      claims: { company: ['acme'] },
    },
  });
  await registry.addUser('ada', 'team/** pull');
  await registry.grant('group:devs', 'team/** pull,push');
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
});

const GRACE = { sub: 'grace-1', preferred_username: 'grace', company: 'acme', groups: ['devs', 'others'] };
beforeEach(() => {
  issuer.person = GRACE;
});

/** A browser, as far as cookies go. */
class Browser {
  readonly cookies = new Map<string, string>();

  async send(method: string, path: string, options: SendOptions = {}): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...(cookie && { Cookie: cookie }), ...options.headers };
    const answer = await registry.client.send(method, path, { ...options, headers });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }

  post(
    path: string,
    form: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return this.send('POST', path, { body: new URLSearchParams(form).toString(), headers });
  }

  /** To the provider, and back with what it says. */
  async begin(query = ''): Promise<URL> {
    const begun = await this.send('GET', `/auth/login${query}`);
    expect(begun.status).toBe(302);
    const asked = await fetch(begun.headers.location!, { redirect: 'manual' });
    return new URL(asked.headers.get('location')!);
  }

  async logIn(query = ''): Promise<Answer> {
    const back = await this.begin(query);
    expect(back.origin).toBe(`http://${registry.address}`);
    return await this.send('GET', back.pathname + back.search);
  }
}

const claims = (more: JWTPayload) => ({ ...GRACE, ...more });

it('logs in by the provider, makes the user, and returns to where it began', async () => {
  const browser = new Browser();
  const answer = await browser.logIn('?return=/dashboard?x=1');
  expect([answer.status, answer.headers.location]).toEqual([302, '/dashboard?x=1']);
  const cookie = answer.headers['set-cookie']!.find((it) => it.startsWith('slipway_session='))!;
  expect(cookie).toMatch(/; path=\/auth; .*samesite=lax; httponly$/i);
  expect(json(await browser.send('GET', '/auth/session'))).toEqual({ user: 'grace' });
  expect(await registry.auth.users.get('grace')).toMatchObject({ hasPassword: false, disabled: false });
  expect(await registry.auth.groups.list()).toEqual([{ group: 'devs', member: 'user:grace' }]);
});

it('gives a session short-lived tokens for what its user may do', async () => {
  const browser = new Browser();
  await browser.logIn();
  const answer = await browser.post('/auth/token', { scope: 'repository:team/app:push slipway:api:*' });
  const { token, scope } = json(answer) as TokenReply;
  expect(scope).toBe('repository:team/app:push slipway:api:*');
  expect((await registry.send('POST', '/v2/team/app/blobs/uploads/', token)).status).toBe(202);
});

it('gives a session personal access tokens, which docker login takes as passwords', async () => {
  const browser = new Browser();
  await browser.logIn();
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify({
    description: 'laptop',
    permissions: [{ pattern: 'team/*', actions: ['pull'] }],
    expiresAt: Date.now() + 60_000,
  });
  const made = await browser.send('POST', '/auth/personal-tokens', { headers, body });
  expect(made.status).toBe(201);
  const { secret } = json(made) as { secret: string };
  const answer = await registry.getToken('scope=repository:team/app:pull,push', `grace:${secret}`);
  expect((json(answer) as TokenReply).scope).toBe('repository:team/app:pull');
  expect((await registry.getToken('', `ada:${secret}`)).status).toBe(401);
  const bad = await browser.send('POST', '/auth/personal-tokens', { headers, body: '{"owner":"user:ada"}' });
  expect(bad.status).toBe(400);
});

it('follows the groups of the provider', async () => {
  issuer.person = claims({ groups: ['ops'] });
  await new Browser().logIn();
  expect(await registry.auth.groups.list()).toEqual([{ group: 'ops', member: 'user:grace' }]);
  issuer.person = GRACE;
  await new Browser().logIn();
  expect(await registry.auth.groups.list()).toEqual([{ group: 'devs', member: 'user:grace' }]);
});

it('knows someone by the subject, whatever their name is now', async () => {
  issuer.person = claims({ preferred_username: 'hopper' });
  const browser = new Browser();
  await browser.logIn();
  expect(json(await browser.send('GET', '/auth/session'))).toEqual({ user: 'grace' });
});

it('does not take over a user of the same name, until an administrator links them', async () => {
  issuer.person = claims({ sub: 'ada-1', preferred_username: 'ada' });
  expect((await new Browser().logIn()).status).toBe(409);
  await registry.auth.identities.link('ada', { issuer: issuer.url, subject: 'ada-1' }, STAGE);
  const browser = new Browser();
  await browser.logIn();
  expect(json(await browser.send('GET', '/auth/session'))).toEqual({ user: 'ada' });
});

it.each([
  ['who is not let in by their claims', { sub: 'x', company: 'evil' }, 403],
  ['who has no name that a user can have', { sub: 'x', preferred_username: '../admin' }, 403],
  ['whose token has another nonce', { nonce: 'other' }, 401],
  ['whose token is for another client', { aud: 'other' }, 401],
  ['whose token is for several clients', { aud: ['slipway-client', 'other'] }, 401],
  ['whose token is another party’s', { azp: 'other' }, 401],
  ['whose token is of another issuer', { iss: 'https://elsewhere.example' }, 401],
  ['whose token has expired', { exp: 1 }, 401],
])('refuses someone %s', async (_, more, status) => {
  issuer.person = claims(more as JWTPayload);
  const browser = new Browser();
  expect((await browser.logIn()).status).toBe(status);
  expect(browser.cookies.has('slipway_session')).toBe(false);
});

it('refuses an answer that it did not ask for', async () => {
  const [mine, theirs] = [new Browser(), new Browser()];
  const back = await theirs.begin();
  const path = (url: URL) => url.pathname + url.search;
  expect((await mine.send('GET', path(back))).status).toBe(401);
  await mine.begin();
  expect((await mine.send('GET', path(back))).status).toBe(401);

  const again = new Browser();
  const once = await again.begin();
  expect((await again.send('GET', path(once))).status).toBe(302);
  expect((await again.send('GET', path(once))).status).toBe(401);

  const elsewhere = await again.begin();
  elsewhere.searchParams.set('iss', 'https://elsewhere.example');
  expect((await again.send('GET', path(elsewhere))).status).toBe(401);
  again.cookies.set('slipway_login', await registry.token('ada'));
  expect((await again.send('GET', path(await new Browser().begin()))).status).toBe(401);
});

it('proves to the provider that it began the login', async () => {
  const browser = new Browser();
  const back = await browser.begin();
  const other = new Browser();
  await other.begin();
  // Someone else's code, in a login that is one's own: the verifier is another.
  const mine = await other.begin();
  mine.searchParams.set('code', back.searchParams.get('code')!);
  expect((await other.send('GET', mine.pathname + mine.search)).status).toBe(401);
});

it.each([
  'https://elsewhere.example/',
  '//elsewhere.example',
  '/\\elsewhere.example',
  'javascript:alert(1)',
  '/%0d%0aSet-Cookie:x',
  '/a\\b',
  '/a b',
])('does not return to %s', async (path) => {
  const answer = await new Browser().send('GET', `/auth/login?return=${encodeURIComponent(path)}`);
  if (path.includes('%')) expect(answer.headers['set-cookie']!.join()).not.toContain('x=');
  else expect(answer.status).toBe(400);
});

it('logs in with a password', async () => {
  const browser = new Browser();
  expect((await browser.post('/auth/login', { username: 'ada', password: 'wrong one' })).status).toBe(401);
  expect((await browser.post('/auth/login', { username: 'ada', password: PASSWORD })).status).toBe(204);
  expect(json(await browser.send('GET', '/auth/session'))).toEqual({ user: 'ada' });
});

it('refuses what pages of other sites make a browser send', async () => {
  const browser = new Browser();
  await browser.post('/auth/login', { username: 'ada', password: PASSWORD });
  const foreign = { Origin: 'https://evil.example' };
  for (const path of ['/auth/token', '/auth/personal-tokens', '/auth/logout', '/auth/login']) {
    expect((await browser.post(path, {}, foreign)).status).toBe(403);
  }
  const own = await browser.post('/auth/token', {}, { Origin: `http://${registry.address}` });
  expect(own.status).toBe(200);
});

it('ends a session with a logout, and when the user is disabled', async () => {
  const browser = new Browser();
  await browser.logIn();
  const kept = new Map(browser.cookies);
  expect((await browser.post('/auth/logout')).status).toBe(204);
  expect(browser.cookies.size).toBe(0);
  for (const [name, value] of kept) browser.cookies.set(name, value);
  expect((await browser.send('GET', '/auth/session')).status).toBe(401);

  await browser.logIn();
  await registry.auth.users.update('grace', { disabled: true }, STAGE);
  expect((await browser.send('GET', '/auth/session')).status).toBe(401);
  expect((await browser.post('/auth/token')).status).toBe(401);
  expect((await new Browser().logIn()).status).toBe(403);
  await registry.auth.users.update('grace', { disabled: false }, STAGE);
});

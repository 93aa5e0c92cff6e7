import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type AuthRegistry,
  PASSWORD,
  STAGE,
  startAuthRegistry,
  type TokenReply,
} from '#test/registry/auth-registry.ts';
import { json } from '#test/registry/distribution-client.ts';

/** What was taken away is gone: refresh tokens at once, access tokens a moment later. */

let registry: AuthRegistry;
beforeAll(async () => {
  registry = await startAuthRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

interface LoggedIn {
  readonly access: string;
  readonly refresh: string;
}

async function logIn(basic: string): Promise<LoggedIn> {
  const answer = await registry.getToken('offline_token=true', basic);
  expect(answer.status).toBe(200);
  const { token, refresh_token } = json(answer) as TokenReply;
  return { access: token, refresh: refresh_token! };
}

const refreshed = async ({ refresh }: LoggedIn) =>
  (await registry.postToken({ grant_type: 'refresh_token', refresh_token: refresh })).status;
const accepted = async ({ access }: LoggedIn) => (await registry.send('GET', '/v2/', access)).status;

async function ends(login: LoggedIn): Promise<void> {
  expect(await refreshed(login)).toBe(401);
  await expect.poll(() => accepted(login), { timeout: 20_000 }).toBe(401);
}

it.each([
  ['is disabled', (name: string) => registry.auth.users.update(name, { disabled: true }, STAGE)],
  [
    'gets another password',
    (name: string) => registry.auth.users.update(name, { password: 'another one' }, STAGE),
  ],
  ['is removed', (name: string) => registry.auth.users.remove(name, STAGE)],
])('of a user who %s', async (how, change) => {
  const name = how.replaceAll(' ', '-');
  await registry.addUser(name);
  await registry.addUser(`${name}-other`);
  const [login, other] = [await logIn(`${name}:${PASSWORD}`), await logIn(`${name}-other:${PASSWORD}`)];
  expect([await refreshed(login), await accepted(login)]).toEqual([200, 200]);
  await change(name);
  expect((await registry.getToken('', `${name}:${PASSWORD}`)).status).toBe(401);
  await ends(login);
  expect([await refreshed(other), await accepted(other)]).toEqual([200, 200]);
});

it('but a login after a new password holds', async () => {
  await registry.addUser('again');
  const before = await logIn(`again:${PASSWORD}`);
  await registry.auth.users.update('again', { password: 'another one' }, STAGE);
  const after = await logIn('again:another one');
  await ends(before);
  expect([await refreshed(after), await accepted(after)]).toEqual([200, 200]);
});

it('of a robot whose secret is taken away, that secret alone', async () => {
  const { robots, secrets } = registry.auth;
  await robots.create({ name: 'ci' }, STAGE);
  const [one, other] = [
    await secrets.create({ owner: 'robot:ci' }, STAGE),
    await secrets.create({ owner: 'robot:ci' }, STAGE),
  ];
  const login = await logIn(`robot+ci:${one.secret}`);
  expect([await refreshed(login), await accepted(login)]).toEqual([200, 200]);
  await secrets.remove('robot:ci', one.id, STAGE);
  await ends(login);
  expect((await registry.getToken('', `robot+ci:${one.secret}`)).status).toBe(401);
  const again = await logIn(`robot+ci:${other.secret}`);
  expect(await accepted(again)).toBe(200);
});

it('of a robot whose time is over, as far as it comes to ask', async () => {
  const { robots, secrets } = registry.auth;
  await robots.create({ name: 'short' }, STAGE);
  const { secret } = await secrets.create({ owner: 'robot:short' }, STAGE);
  const login = await logIn(`robot+short:${secret}`);
  await robots.update('short', { expiresAt: Date.now() - 1 }, STAGE);
  await ends(login);
});

it('by new keys, for everyone', async () => {
  await registry.addUser('keys');
  const login = await logIn(`keys:${PASSWORD}`);
  await registry.auth.keys.rotate({}, STAGE);
  expect(await accepted(login)).toBe(200);
  await registry.auth.keys.rotate({ revokeOthers: true }, STAGE);
  await expect.poll(() => accepted(login), { timeout: 20_000 }).toBe(401);
  expect(await refreshed(login)).toBe(200);
  expect(await accepted(await logIn(`keys:${PASSWORD}`))).toBe(200);
});

it('by the grants of this moment, in each new token', async () => {
  await registry.addUser('grants', 'team/** pull,push');
  const query = 'scope=repository:team/app:pull,push';
  const scope = async () => (json(await registry.getToken(query, `grants:${PASSWORD}`)) as TokenReply).scope;
  expect(await scope()).toBe('repository:team/app:pull,push');
  await registry.grant('user:grants', 'team/** pull');
  expect(await scope()).toBe('repository:team/app:pull');
  await registry.auth.policies.remove({ subject: 'user:grants', pattern: 'team/**' }, STAGE);
  expect(await scope()).toBe('');
});

it('holds a limited secret to its limits, also where grants count', async () => {
  await registry.addUser('lim', '** admin');
  const permissions = [{ pattern: 'team/*', actions: ['pull'] }];
  const { secret } = await registry.auth.secrets.create({ owner: 'user:lim', permissions }, STAGE);
  const query =
    'offline_token=true&scope=repository:team/app:*&scope=repository:other/app:*&scope=slipway:api:*';
  const reply = json(await registry.getToken(query, `lim:${secret}`)) as TokenReply;
  expect(reply.scope).toBe('repository:team/app:pull slipway:api:*');
  const refreshed = await registry.postToken({
    grant_type: 'refresh_token',
    refresh_token: reply.refresh_token!,
    scope: 'repository:other/app:pull slipway:api:*',
  });
  expect((json(refreshed) as TokenReply).scope).toBe('slipway:api:*');
  for (const token of [reply.token, (json(refreshed) as TokenReply).token]) {
    const access = await registry.auth.authenticator.authenticate({
      authorization: `Bearer ${token}`,
      address: '',
    });
    expect([access.administers(), access.administers('team/app')]).toEqual([false, false]);
    expect([access.sees('team/x' as never), access.sees('other/x' as never)]).toEqual([true, false]);
  }
});

it('holds a limited secret to its limits where a push takes blobs from elsewhere', async () => {
  await registry.addUser('limp', '** admin');
  const permissions = [{ pattern: 'team/*', actions: ['pull', 'push'] }];
  const { secret } = await registry.auth.secrets.create({ owner: 'user:limp', permissions }, STAGE);
  for (const [actions, team] of [
    ['pull,push', true],
    ['pull', false],
  ] as const) {
    const { token } = json(
      await registry.getToken(`scope=repository:team/app:${actions}`, `limp:${secret}`),
    ) as TokenReply;
    const access = await registry.auth.authenticator.authenticate({
      authorization: `Bearer ${token}`,
      address: '',
    });
    expect([access.mounts('team/x' as never), access.mounts('other/x' as never)]).toEqual([team, false]);
  }
});

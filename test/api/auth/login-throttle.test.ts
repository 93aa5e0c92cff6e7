import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LoginThrottle } from '#auth/passwords/login-throttle.ts';
import { LoginThrottleRepository } from '#auth/passwords/login-throttle-repository.ts';
import { type AuthRegistry, PASSWORD, STAGE, startAuthRegistry } from '#test/registry/auth-registry.ts';
import { errorCode } from '#test/registry/distribution-client.ts';

/** Guessing is slow, and does not lock anybody out who comes from elsewhere. */

let registry: AuthRegistry;
beforeEach(async () => {
  registry = await startAuthRegistry();
  await registry.addUser('ada');
});
afterEach(async () => {
  vi.useRealTimers();
  await registry[Symbol.asyncDispose]();
});

const attempt = (basic: string) => registry.getToken('', basic);

it('lets who fails too often wait', async () => {
  for (let tries = 0; tries < 5; tries++) expect((await attempt('ada:wrong guess')).status).toBe(401);
  const refused = await attempt(`ada:${PASSWORD}`);
  expect(refused.status).toBe(429);
  expect(errorCode(refused)).toBe('TOOMANYREQUESTS');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect((await attempt('ADA:other case')).status).toBe(429);
  const post = await registry.postToken({ grant_type: 'password', username: 'ada', password: PASSWORD });
  expect(post.status).toBe(429);
  // From elsewhere the owner gets in, and a token that is held goes on working.
  await registry.auth.logins.logIn({ username: 'ada', password: PASSWORD, address: '192.0.2.1' });
  await registry.addUser('bob');
  expect((await attempt(`bob:${PASSWORD}`)).status).toBe(200);
});

it('lets an unknown user wait as it does a known one', async () => {
  for (let tries = 0; tries < 5; tries++) expect((await attempt('nobody:wrong guess')).status).toBe(401);
  expect((await attempt('nobody:wrong guess')).status).toBe(429);
});

it('counts guesses that come all at once', async () => {
  const guesses = Array.from({ length: 60 }, (_, guess) => attempt(`ada:guess number ${guess}`));
  const answers = (await Promise.all(guesses)).map(({ status }) => status);
  expect(answers.filter((status) => status === 401)).toHaveLength(5);
  expect(answers.filter((status) => status === 429)).toHaveLength(55);
});

it('lets all in who come at once with the right password', async () => {
  const logins = Array.from({ length: 60 }, () => attempt(`ada:${PASSWORD}`));
  for (const { status } of await Promise.all(logins)) expect(status).toBe(200);
});

it('does not slow down what cannot be guessed', async () => {
  await registry.auth.robots.create({ name: 'ci' }, STAGE);
  const { auth } = registry;
  const old = await auth.secrets.create({ owner: 'robot:ci', expiresAt: Date.now() - 1 }, STAGE);
  const good = await auth.secrets.create({ owner: 'robot:ci' }, STAGE);
  for (let tries = 0; tries < 10; tries++) expect((await attempt(`robot+ci:${old.secret}`)).status).toBe(401);
  expect((await attempt(`robot+ci:${good.secret}`)).status).toBe(200);
  expect((await attempt(`ada:${PASSWORD}`)).status).toBe(200);
});

it('waits longer after each failure, up to minutes', async () => {
  const counts = new LoginThrottleRepository(registry.db);
  const throttle = new LoginThrottle({ counts });
  const source = { account: 'x', address: '192.0.2.7', guessable: true };
  vi.useFakeTimers({ toFake: ['Date'] });
  const wait = async () =>
    await throttle.check(source).then(
      () => 0,
      (error) => error.detail.retryAfter as number,
    );
  const waits: number[] = [];
  for (let failures = 0; failures < 16; failures++) {
    waits.push(await wait());
    await throttle.failed(source);
  }
  expect(waits.slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
  expect(waits.slice(5, 14)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256]);
  expect(await wait()).toBe(300);
  await throttle.succeeded(source);
  expect(await wait()).toBe(0);
});

it('counts an address with whatever accounts, and an IPv6 network as one', async () => {
  const throttle = new LoginThrottle({ counts: new LoginThrottleRepository(registry.db) });
  const source = (account: string, address: string) => ({ account, address, guessable: true });
  for (let tries = 0; tries < 30; tries++) {
    await throttle.failed(source(`user-${tries}`, `2001:db8:0:1::${(tries + 1).toString(16)}`));
    await throttle.failed(source(`user-${tries}`, tries % 2 === 0 ? '192.0.2.9' : '::ffff:192.0.2.9'));
  }
  const refused = { kind: 'too-many' };
  await expect(throttle.check(source('new', '2001:db8:0:1:ffff::1'))).rejects.toMatchObject(refused);
  await expect(throttle.check(source('new', '2001:db8::1:0:0:0:1'))).rejects.toMatchObject(refused);
  await expect(throttle.check(source('new', '192.0.2.9'))).rejects.toMatchObject(refused);
  await throttle.check(source('new', '2001:db8:0:2::1'));
  await throttle.check(source('new', '192.0.2.10'));
});

it('takes names of any length and of any characters', async () => {
  for (const name of ['a'.repeat(5_000), 'a\u0000b', '\ud800', "' or 1=1 --", '%', '']) {
    expect((await attempt(`${name}:wrong guess`)).status).toBe(401);
  }
  const rows = await registry.db.selectFrom('login_failures').select('key').execute();
  expect(Math.max(...rows.map(({ key }) => key.length))).toBeLessThan(200);
});

import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type AuthRegistry,
  PASSWORD,
  startAuthRegistry,
  type TokenReply,
} from '#test/registry/auth-registry.ts';
import { json } from '#test/registry/distribution-client.ts';

/** However a scope is written, the token is good for what was granted and not for more. */

let registry: AuthRegistry;
beforeAll(async () => {
  registry = await startAuthRegistry();
  await registry.addUser('ada', 'team/app pull');
  await registry.addUser('lead', 'team/* admin');
  await registry.grant('anonymous', 'public/** pull');
});
afterAll(() => registry[Symbol.asyncDispose]());

async function granted(scope: string, user: string | null = 'ada'): Promise<string> {
  const answer = await registry.getToken(
    `scope=${encodeURIComponent(scope)}`,
    user === null ? undefined : `${user}:${PASSWORD}`,
  );
  expect(answer.status).toBe(200);
  const { scope: text, token } = json(answer) as TokenReply;
  const access = decodeJwt<{ access: { type: string; class?: string; name: string; actions: string[] }[] }>(
    token,
  ).access;
  expect(
    access.map((it) => `${it.type}${it.class ? `(${it.class})` : ''}:${it.name}:${it.actions}`).join(' '),
  ).toBe(text);
  return text;
}

it.each([
  ['repository:team/app:*', 'repository:team/app:pull'],
  ['repository:team/app:pull,push,delete,admin,*', 'repository:team/app:pull'],
  ['repository:team/app:admin', ''],
  ['repository:team/app:PULL', ''],
  ['repository:team/app:', ''],
  ['repository:**:pull', ''],
  ['repository:*:pull', ''],
  ['repository:team/*:pull', ''],
  ['repository:team/**:*', ''],
  ['repository:Team/App:pull', ''],
  ['repository:team/app/:pull', ''],
  ['repository:/team/app:pull', ''],
  ['repository:team//app:pull', ''],
  ['repository:team/../team/app:pull', ''],
  ['repository:team/app%2F..:pull', ''],
  ['repository:team/other:pull', ''],
  ['repository:localhost:5000/team/app:pull', ''],
  ['repository(plugin):team/app:pull,push', 'repository(plugin):team/app:pull'],
  ['repository(plugin):team/other:pull', ''],
  ['Repository:team/app:pull', ''],
  ['repository:team/app:pull:push', ''],
  ['repository:team/app', ''],
  ['registry:catalog:*', 'registry:catalog:*'],
  ['registry:other:*', ''],
  ['registry:*:*', ''],
  ['repository:te\u0430m/app:pull', ''],
])('%j: %j', async (scope, expected) => {
  expect(await granted(scope)).toBe(expected);
});

it('takes nothing of one scope over into another', async () => {
  expect(await granted('repository:public/a:push repository:team/app:push repository:team/app:pull')).toBe(
    'repository:team/app:pull',
  );
});

it('lets nobody administer by a scope: what counts is the grants', async () => {
  expect(await granted('slipway:api:*', null)).toBe('');
  const ada = await registry.token('ada', 'slipway:api:*');
  const access = await registry.auth.authenticator.authenticate({
    authorization: `Bearer ${ada}`,
    address: '',
  });
  expect([access.administers(), access.administers('team/app')]).toEqual([false, false]);
});

it('lets who administers a namespace administer that alone, and only with a token for it', async () => {
  const authenticate = async (...scopes: string[]) => {
    const token = await registry.token('lead', ...scopes);
    return await registry.auth.authenticator.authenticate({ authorization: `Bearer ${token}`, address: '' });
  };
  const access = await authenticate('slipway:api:*');
  expect(['team/a', 'team/*', 'team/**', '*/a', '**', 'other/a'].map((it) => access.administers(it))).toEqual(
    [true, true, false, false, false, false],
  );
  expect(access.administers()).toBe(false);
  expect((await authenticate('repository:team/a:*')).administers('team/a')).toBe(false);
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuthRegistry, PASSWORD, startAuthRegistry } from '#test/registry/auth-registry.ts';
import { type Answer, json } from '#test/registry/distribution-client.ts';

let registry: AuthRegistry;
let admin: string;
beforeAll(async () => {
  registry = await startAuthRegistry();
  await registry.addUser('root', '** admin');
  admin = await registry.token('root', 'slipway:api:*');
});
afterAll(() => registry[Symbol.asyncDispose]());

/** Sends JSON to the admin API, as the administrator unless another token is given. */
function call(method: string, path: string, body?: unknown, token: string = admin): Promise<Answer> {
  return registry.send(method, `/api/v1${path}`, token, {
    ...(body !== undefined && {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    }),
  });
}

async function ok<T>(status: number, answered: Promise<Answer>): Promise<T> {
  const answer = await answered;
  expect([answer.status, answer.status < 300 ? '' : answer.body.toString()]).toEqual([status, '']);
  return (status === 204 ? undefined : json(answer)) as T;
}

const canLogIn = async (name: string, password: string) =>
  (await registry.getToken('service=slipway', `${name}:${password}`)).status === 200;

describe('users', () => {
  it('are made, listed, changed and removed', async () => {
    const made = await ok(
      201,
      call('POST', '/users', { name: 'ada', password: PASSWORD, email: 'ada@x.org' }),
    );
    expect(made).toMatchObject({ name: 'ada', email: 'ada@x.org', hasPassword: true, disabled: false });
    expect(JSON.stringify(made)).not.toMatch(/hash|scrypt|argon/i);
    expect(await ok(200, call('GET', '/users/ada'))).toEqual(made);
    expect(await canLogIn('ada', PASSWORD)).toBe(true);

    await ok(200, call('PATCH', '/users/ada', { password: 'another horse' }));
    expect([await canLogIn('ada', PASSWORD), await canLogIn('ada', 'another horse')]).toEqual([false, true]);
    expect(await ok(200, call('PATCH', '/users/ada', { disabled: true }))).toMatchObject({ disabled: true });
    expect(await canLogIn('ada', 'another horse')).toBe(false);

    await ok(204, call('DELETE', '/users/ada'));
    expect((await call('GET', '/users/ada')).status).toBe(404);
    expect((await call('DELETE', '/users/ada')).status).toBe(404);
  });

  it('are listed in pages', async () => {
    const names = ['u1', 'u2', 'u3', 'u4', 'u5'];
    for (const name of names) await ok(201, call('POST', '/users', { name }));
    const found: string[] = [];
    for (let cursor = ''; ; ) {
      const path = `/users?limit=2${cursor && `&cursor=${cursor}`}`;
      const page = await ok<{ items: { name: string }[]; next?: string }>(200, call('GET', path));
      found.push(...page.items.map(({ name }) => name));
      if (page.next === undefined) break;
      cursor = page.next;
    }
    expect(found).toEqual(['root', ...names]);
    for (const name of names) await ok(204, call('DELETE', `/users/${name}`));
  });

  it.each([
    [{}, /name/],
    [{ name: 'UPPER' }, /invalid name/],
    [{ name: 'eve', password: 'short' }, /password/],
    [{ name: 'eve', password: 5 }, /password/],
    [{ name: 'eve', admin: true }, /admin/],
    [{ name: 'oidc' }, /reserved/],
    [[], /object/],
    ['', /object/],
  ])('are refused as %j', async (body, detail) => {
    const answer = await call('POST', '/users', body);
    expect(answer.status).toBe(400);
    expect(json(answer)).toMatchObject({ status: 400, detail: expect.stringMatching(detail) });
  });

  it('cannot be made twice', async () => {
    expect((await call('POST', '/users', { name: 'root' })).status).toBe(409);
  });
});

it('takes JSON that says so, and nothing else', async () => {
  const send = (body: string | Uint8Array, type: string) =>
    registry.send('POST', '/api/v1/users', admin, { headers: { 'Content-Type': type }, body });
  for (const [body, type] of [
    ['{"name":"eve"}', 'text/plain'],
    ['{"name":"eve"', 'application/json'],
    [Buffer.from([0x22, 0xff, 0x22]), 'application/json'],
    ['', 'application/json'],
  ] as const) {
    expect((await send(body, type)).status).toBe(400);
  }
  expect((await send(`"${'x'.repeat(2 ** 20)}"`, 'application/json')).status).toBe(413);
  expect((await call('GET', '/users/eve')).status).toBe(404);
});

it('does nothing for pages of another origin', async () => {
  const send = (origin: string) =>
    registry.send('DELETE', '/api/v1/users/nobody', admin, { headers: { Origin: origin } });
  expect((await send('https://evil.example')).status).toBe(403);
  expect((await send('null')).status).toBe(403);
  expect((await send(`http://${registry.address}`)).status).toBe(404);
});

describe('robots', () => {
  it('are made, get secrets, log in with them, and are removed', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const made = await ok(201, call('POST', '/robots', { name: 'ci', description: 'builds', expiresAt }));
    expect(made).toMatchObject({ name: 'ci', description: 'builds', expiresAt, createdBy: 'user:root' });
    const permissions = [{ pattern: 'team/**', actions: ['push'] }];
    const { id, secret } = await ok<{ id: string; secret: string }>(
      201,
      call('POST', '/robots/ci/secrets', { description: 'runner', permissions }),
    );
    expect(await canLogIn('robot+ci', secret)).toBe(true);
    const listed = await call('GET', '/robots/ci/secrets');
    expect(json(listed)).toMatchObject({
      items: [{ id, owner: 'robot:ci', description: 'runner', permissions }],
    });
    expect(listed.body.toString()).not.toContain(secret);

    expect(await ok(200, call('PATCH', '/robots/ci', { disabled: true }))).toMatchObject({ disabled: true });
    expect(await canLogIn('robot+ci', secret)).toBe(false);
    const back = await ok(200, call('PATCH', '/robots/ci', { disabled: false, expiresAt: null }));
    expect(back).not.toHaveProperty('expiresAt');
    await ok(204, call('DELETE', `/robots/ci/secrets/${id}`));
    expect(await canLogIn('robot+ci', secret)).toBe(false);

    expect(await ok(200, call('GET', '/robots'))).toMatchObject({ items: [{ name: 'ci' }] });
    await ok(204, call('DELETE', '/robots/ci'));
    for (const path of ['/robots/ci', '/robots/ci/secrets/none']) {
      expect((await call('DELETE', path)).status).toBe(404);
    }
    expect((await call('POST', '/robots/ci/secrets', {})).status).toBe(404);
  });

  it.each([
    ['/robots', { name: '' }],
    ['/robots', { name: 'a', expiresAt: 'tomorrow' }],
    ['/robots', { name: 'a', description: 'two\nlines' }],
    ['/users/root/tokens', { permissions: [{ pattern: '../x', actions: ['pull'] }] }],
    ['/users/root/tokens', { permissions: [{ pattern: 'a', actions: ['fly'] }] }],
    ['/users/root/tokens', { permissions: [{ pattern: 'a', actions: ['pull'], more: 1 }] }],
  ])('are refused at %s as %j', async (path, body) => {
    expect((await call('POST', path, body)).status).toBe(400);
  });
});

it('gives users personal access tokens', async () => {
  await ok(201, call('POST', '/users', { name: 'pat' }));
  const { id, secret } = await ok<{ id: string; secret: string }>(201, call('POST', '/users/pat/tokens', {}));
  expect(await canLogIn('pat', secret)).toBe(true);
  expect(await ok(200, call('GET', '/users/pat/tokens'))).toMatchObject({
    items: [{ id, owner: 'user:pat' }],
  });
  await ok(204, call('DELETE', `/users/pat/tokens/${id}`));
  expect(await canLogIn('pat', secret)).toBe(false);
  await ok(204, call('DELETE', '/users/pat'));
});

describe('grants', () => {
  it('are put, listed and taken back', async () => {
    await ok(204, call('PUT', '/grants/anonymous/public%2F**', { actions: ['pull'] }));
    const { items } = await ok<{ items: object[] }>(200, call('GET', '/grants?subject=anonymous'));
    expect(items).toMatchObject([{ subject: 'anonymous', pattern: 'public/**', actions: ['pull'] }]);
    await ok(204, call('DELETE', '/grants/anonymous/public%2F**'));
    expect((await call('DELETE', '/grants/anonymous/public%2F**')).status).toBe(404);
  });

  it.each([
    ['/grants/anonymous/public%2F**', { actions: ['push'] }, 400],
    ['/grants/anonymous/public%2F**', { actions: [] }, 400],
    ['/grants/nobody/a', { actions: ['pull'] }, 400],
    ['/grants/user:ghost/a', { actions: ['pull'] }, 404],
    ['/grants/authenticated/..%2Fa', { actions: ['pull'] }, 400],
    ['/grants/authenticated/a%2', { actions: ['pull'] }, 400],
  ])('are refused: %s %j', async (path, body, status) => {
    expect((await call('PUT', path, body)).status).toBe(status);
  });

  it('are made by administrators of a namespace, for it alone', async () => {
    await registry.addUser('lead', 'team/** admin');
    const lead = await registry.token('lead', 'slipway:api:*');
    const put = (pattern: string) =>
      call('PUT', `/grants/authenticated/${encodeURIComponent(pattern)}`, { actions: ['pull'] }, lead);
    expect((await put('team/app')).status).toBe(204);
    expect((await put('team/**')).status).toBe(204);
    for (const pattern of ['other/app', '**', '*', 'team', 'teamx/**', 'team*/**']) {
      expect([pattern, (await put(pattern)).status]).toEqual([pattern, 403]);
    }
    const { items } = json(await call('GET', '/grants', undefined, lead)) as { items: { pattern: string }[] };
    expect(new Set(items.map(({ pattern }) => pattern))).toEqual(new Set(['team/app', 'team/**']));
    expect((await call('GET', '/users', undefined, lead)).status).toBe(403);
    await ok(204, call('DELETE', '/grants/authenticated/team%2Fapp', undefined, lead));
  });
});

it('puts users into groups, and takes them out', async () => {
  await ok(201, call('POST', '/users', { name: 'member' }));
  await ok(204, call('PUT', '/groups/devs/members/user:member'));
  const members = [{ group: 'devs', member: 'user:member' }];
  expect(await ok(200, call('GET', '/groups?group=devs'))).toEqual({ items: members });
  await ok(204, call('DELETE', '/groups/devs/members/user:member'));
  expect((await call('DELETE', '/groups/devs/members/user:member')).status).toBe(404);
  expect((await call('PUT', '/groups/devs/members/user:ghost')).status).toBe(404);
  expect((await call('PUT', '/groups/devs/members/anonymous')).status).toBe(400);
});

it('keeps trust policies', async () => {
  const policy = {
    issuer: 'https://ci.example',
    audience: 'slipway',
    claims: { repository: ['acme/*'], ref: ['refs/heads/main', 'refs/tags/*'] },
  };
  expect(await ok(200, call('PUT', '/trust-policies/ci', policy))).toMatchObject({ name: 'ci', ...policy });
  expect(await ok(200, call('GET', '/trust-policies/ci'))).toMatchObject(policy);
  expect(await ok(200, call('GET', '/trust-policies'))).toMatchObject({ items: [policy] });
  const short = { ...policy, claims: { ...policy.claims, repository: 'acme/*' } };
  expect(await ok(200, call('PUT', '/trust-policies/ci', short))).toMatchObject(policy);
  for (const wrong of [{ issuer: 'not a URL' }, { audience: '' }, { claims: { a: 5 } }, { claims: {} }]) {
    expect((await call('PUT', '/trust-policies/ci', { ...policy, ...wrong })).status).toBe(400);
  }
  await ok(204, call('DELETE', '/trust-policies/ci'));
  expect((await call('GET', '/trust-policies/ci')).status).toBe(404);
});

it('rotates the keys that tokens are signed with', async () => {
  const before = await ok<{ items: { kid: string }[] }>(200, call('GET', '/keys'));
  const { kid } = await ok<{ kid: string }>(200, call('POST', '/keys/rotation'));
  const after = await ok<{ items: { kid: string }[] }>(200, call('GET', '/keys'));
  expect(after.items.map((key) => key.kid)).toEqual(expect.arrayContaining([kid, before.items[0]!.kid]));
  expect((await call('POST', '/keys/rotation', { revokeOthers: 'yes' })).status).toBe(400);
  await ok(200, call('POST', '/keys/rotation', { revokeOthers: true }));
  expect((await call('GET', '/keys')).status).toBe(401);
  admin = await registry.token('root', 'slipway:api:*');
});

it('writes every change to the audit log, without secrets', async () => {
  const { items } = await ok<{ items: { action: string; actor: string; detail: unknown }[] }>(
    200,
    call('GET', '/audit?actor=user:root&limit=1000'),
  );
  const actions = [
    'user.create',
    'user.update',
    'user.delete',
    'robot.create',
    'secret.create',
    'secret.delete',
  ];
  const more = ['grant.put', 'grant.delete', 'group.add', 'group.remove', 'trust.put', 'keys.rotate'];
  expect([...new Set(items.map(({ action }) => action))]).toEqual(
    expect.arrayContaining([...actions, ...more]),
  );
  expect(JSON.stringify(items)).not.toMatch(/horse|sl[pr]_|hash/);
});

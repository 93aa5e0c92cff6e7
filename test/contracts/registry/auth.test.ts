import { expect, it } from 'vitest';
import { type Auth, createAuth } from '#auth/auth.ts';
import { SigningKeys } from '#auth/keys/signing-keys.ts';
import { SigningKeysRepository } from '#auth/keys/signing-keys-repository.ts';
import { LoginThrottleRepository } from '#auth/passwords/login-throttle-repository.ts';
import { GroupsRepository } from '#auth/policies/groups-repository.ts';
import { RefreshTokensRepository } from '#auth/tokens/refresh-tokens-repository.ts';
import { ensureAdministrator } from '#auth/users/first-administrator.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RepositoryName } from '#oci/reference.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';
import { AUTH_OPTIONS } from '../../registry/auth-registry.ts';

const ACTOR = { principal: 'user:root', address: '127.0.0.1' };
const open = (db: RegistryDatabase): Auth => createAuth({ db, record: recordEvents }, AUTH_OPTIONS);
const NO_SCOPES = { scopes: [], offline: true, clientId: 'test' };
const address = '127.0.0.1';

onEachDatabase('auth', (create) => {
  it('keeps users: by name, page by page, with what changes', async () => {
    await using database = await create();
    const { users } = open(database.db);
    for (const name of ['b', 'a', 'a-b', 'a.b']) await users.create({ name }, ACTOR);
    await expect(users.create({ name: 'a' }, ACTOR)).rejects.toMatchObject({ kind: 'conflict' });
    for (const name of ['A', '', 'a/b', 'robot', 'oidc', 'a b', '-a', 'a'.repeat(65)]) {
      await expect(users.create({ name }, ACTOR)).rejects.toMatchObject({ kind: 'invalid' });
    }
    await expect(users.create({ name: 'c', password: 'short' }, ACTOR)).rejects.toMatchObject({
      kind: 'invalid',
    });
    expect((await users.list({ limit: 3 })).map((it) => it.name)).toEqual(['a', 'a-b', 'a.b']);
    expect((await users.list({ limit: 3, last: 'a.b' })).map((it) => it.name)).toEqual(['b']);

    const changed = await users.update(
      'a',
      { displayName: 'Ada', email: 'ada@example', disabled: true },
      ACTOR,
    );
    expect(changed).toMatchObject({
      displayName: 'Ada',
      email: 'ada@example',
      disabled: true,
      hasPassword: false,
    });
    expect(await users.update('a', { displayName: null, disabled: false }, ACTOR)).toMatchObject({
      displayName: undefined,
      email: 'ada@example',
      disabled: false,
    });
    await users.remove('a', ACTOR);
    await expect(users.get('a')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(users.remove('a', ACTOR)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(users.update('a', { disabled: true }, ACTOR)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('keeps robots and their secrets, which log in until they expire', async () => {
    await using database = await create();
    const { robots, secrets, logins } = open(database.db);
    await robots.create({ name: 'ci', description: 'builds' }, ACTOR);
    await expect(robots.create({ name: 'ci' }, ACTOR)).rejects.toMatchObject({ kind: 'conflict' });
    const good = await secrets.create({ owner: 'robot:ci', expiresAt: Date.now() + 60_000 }, ACTOR);
    const limited = await secrets.create(
      { owner: 'robot:ci', permissions: [{ pattern: 'team/*', actions: ['push', 'pull'] }] },
      ACTOR,
    );
    const expired = await secrets.create({ owner: 'robot:ci', expiresAt: Date.now() - 1 }, ACTOR);
    expect((await secrets.list('robot:ci')).map((it) => it.id).sort()).toEqual(
      [good.id, limited.id, expired.id].sort(),
    );
    expect(JSON.stringify(await secrets.list('robot:ci'))).not.toContain(good.secret);
    for (const owner of ['robot:none', 'user:ci']) {
      await expect(secrets.create({ owner }, ACTOR)).rejects.toMatchObject({ kind: 'not-found' });
    }
    const logIn = (password: string, username = 'robot+ci') => logins.logIn({ username, password, address });
    expect(await logIn(good.secret)).toMatchObject({
      subject: 'robot:ci',
      limits: undefined,
      secretId: good.id,
    });
    expect((await logIn(limited.secret)).limits).toEqual([{ pattern: 'team/*', actions: ['pull', 'push'] }]);
    const wrong = [expired.secret, `${good.secret.slice(0, -1)}_`, good.secret.replace('slr', 'slp'), ''];
    for (const secret of wrong) await expect(logIn(secret)).rejects.toMatchObject({ kind: 'unauthorized' });
    await expect(logIn(good.secret, 'ci')).rejects.toMatchObject({ kind: 'unauthorized' });
    await expect(logIn(good.secret, 'robot+other')).rejects.toMatchObject({ kind: 'unauthorized' });

    await secrets.remove('robot:ci', good.id, ACTOR);
    await expect(logIn(good.secret)).rejects.toMatchObject({ kind: 'unauthorized' });
    await expect(secrets.remove('robot:ci', good.id, ACTOR)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(secrets.remove('user:ci', limited.id, ACTOR)).rejects.toMatchObject({ kind: 'not-found' });
    await robots.update('ci', { expiresAt: Date.now() - 1 }, ACTOR);
    await expect(logIn(limited.secret)).rejects.toMatchObject({ kind: 'unauthorized' });
    await robots.update('ci', { expiresAt: null }, ACTOR);
    await logIn(limited.secret);
    await robots.update('ci', { disabled: true }, ACTOR);
    await expect(logIn(limited.secret)).rejects.toMatchObject({ kind: 'unauthorized' });
  });

  it('keeps grants, one for a subject and pattern, and groups', async () => {
    await using database = await create();
    const { users, policies, groups } = open(database.db);
    await users.create({ name: 'ada' }, ACTOR);
    await policies.put({ subject: 'user:ada', pattern: 'a/*', actions: ['pull'] }, ACTOR);
    await policies.put({ subject: 'user:ada', pattern: 'a/*', actions: ['push', 'pull'] }, ACTOR);
    await policies.put({ subject: 'group:devs', pattern: 'b/**', actions: ['admin'] }, ACTOR);
    await policies.put({ subject: 'anonymous', pattern: 'public/**', actions: ['pull'] }, ACTOR);
    expect((await policies.list()).map((it) => `${it.subject} ${it.pattern} ${it.actions}`)).toEqual([
      'anonymous public/** pull',
      'group:devs b/** admin',
      'user:ada a/* pull,push',
    ]);
    const bad = [
      { subject: 'anonymous', pattern: '**', actions: ['push'] },
      { subject: 'user:ada', pattern: 'a/**/b', actions: ['pull'] },
      { subject: 'user:ada', pattern: 'a', actions: [] },
      { subject: 'user:ada', pattern: 'a', actions: ['write'] },
      { subject: 'everyone', pattern: 'a', actions: ['pull'] },
    ];
    for (const it of bad) await expect(policies.put(it, ACTOR)).rejects.toMatchObject({ kind: 'invalid' });
    for (const subject of ['user:none', 'robot:none', 'federated:none']) {
      const grant = { subject, pattern: '**', actions: ['pull'] };
      await expect(policies.put(grant, ACTOR)).rejects.toMatchObject({ kind: 'not-found' });
    }
    const allowed = async (path: string) =>
      (await policies.copy.latest()).permissions(['user:ada']).allows(path as RepositoryName, 'push');
    expect([await allowed('a/x'), await allowed('b/x/y')]).toEqual([true, false]);
    await groups.add('devs', 'user:ada', ACTOR);
    await groups.add('devs', 'user:ada', ACTOR);
    expect(await allowed('b/x/y')).toBe(true);
    await groups.remove('devs', 'user:ada', ACTOR);
    expect(await allowed('b/x/y')).toBe(false);
    await expect(groups.remove('devs', 'user:ada', ACTOR)).rejects.toMatchObject({ kind: 'not-found' });
    await policies.remove({ subject: 'user:ada', pattern: 'a/*' }, ACTOR);
    expect(await allowed('a/x')).toBe(false);
  });

  it('leaves nothing to the next user of the same name', async () => {
    await using database = await create();
    const { users, policies, groups, secrets, tokens, logins, authenticator } = open(database.db);
    const password = 'correct horse';
    await users.create({ name: 'ada', password }, ACTOR);
    await policies.put({ subject: 'user:ada', pattern: '**', actions: ['admin'] }, ACTOR);
    await groups.add('devs', 'user:ada', ACTOR);
    const secret = await secrets.create({ owner: 'user:ada' }, ACTOR);
    const issued = await tokens.forPassword({ username: 'ada', password, address }, NO_SCOPES);
    await users.remove('ada', ACTOR);
    await users.create({ name: 'ada' }, ACTOR);
    expect(await policies.list({ subject: 'user:ada' })).toEqual([]);
    expect(await groups.list()).toEqual([]);
    expect(await secrets.list('user:ada')).toEqual([]);
    const unauthorized = { kind: 'unauthorized' };
    await expect(logins.logIn({ username: 'ada', password: secret.secret, address })).rejects.toMatchObject(
      unauthorized,
    );
    await expect(logins.logIn({ username: 'ada', password, address })).rejects.toMatchObject(unauthorized);
    await expect(tokens.forRefreshToken(issued.refreshToken!, NO_SCOPES)).rejects.toMatchObject(unauthorized);
    const authorization = `Bearer ${issued.accessToken}`;
    await expect
      .poll(
        () =>
          authenticator.authenticate({ authorization, address }).then(
            () => 'good',
            (it) => it.kind,
          ),
        { timeout: 5_000 },
      )
      .toBe('unauthorized');
  });

  it('is told by one process and followed by another', async () => {
    await using database = await create();
    const [here, there] = [open(database.db), open(await database.another())];
    const password = 'correct horse';
    await here.users.create({ name: 'ada', password }, ACTOR);
    const { accessToken } = await here.tokens.forPassword({ username: 'ada', password, address }, NO_SCOPES);
    const asked = () =>
      there.authenticator.authenticate({ authorization: `Bearer ${accessToken}`, address }).then(
        () => 'good',
        (it) => it.kind,
      );
    const anonymous = async () =>
      (await there.authenticator.authenticate({ authorization: '', address })).allows(
        'a/b' as RepositoryName,
        'pull',
      );
    expect([await asked(), await anonymous()]).toEqual(['good', false]);
    await here.policies.put({ subject: 'anonymous', pattern: 'a/*', actions: ['pull'] }, ACTOR);
    await here.users.update('ada', { disabled: true }, ACTOR);
    await expect.poll(anonymous, { timeout: 5_000 }).toBe(true);
    await expect.poll(asked, { timeout: 5_000 }).toBe('unauthorized');
  });

  it('has one first key, however many processes start at once', async () => {
    await using database = await create();
    const other = await database.another();
    const keys = [database.db, database.db, other].map(
      (db) =>
        new SigningKeys(
          { keys: new SigningKeysRepository({ db, record: recordEvents }) },
          { rotateEvery: 1e9 },
        ),
    );
    const first = await keys[0]!.signing();
    const kids = await Promise.all(keys.map(async (it) => (await it.signing()).kid));
    expect(new Set(kids)).toEqual(new Set([first.kid]));
    const two = [keys[0]!, keys[1]!];
    await Promise.all(two.map((it) => it.rotate({}, ACTOR)));
    const list = await keys[2]!.list();
    expect(list).toHaveLength(3);
    // The next ones are announced before they sign.
    expect(list.map(({ signs }) => signs)).toEqual([true, false, false]);
    for (const { kid } of list)
      await expect.poll(() => keys[2]!.verifying(kid), { timeout: 5_000 }).toBeDefined();

    const only = await keys[0]!.rotate({ revokeOthers: true }, ACTOR);
    expect((await keys[0]!.list()).map(({ kid }) => kid)).toEqual([only]);
    await expect.poll(async () => (await keys[2]!.signing()).kid, { timeout: 5_000 }).toBe(only);
    expect(await keys[2]!.verifying(first.kid)).toBeUndefined();
  });

  it('verifies with a key for as long as something that it signed may live', async () => {
    await using database = await create();
    const { db } = database;
    const keys = new SigningKeys(
      { keys: new SigningKeysRepository({ db, record: recordEvents }) },
      { rotateEvery: 1e12 },
    );
    const first = (await keys.signing()).kid;
    await keys.rotate({}, ACTOR);
    const published = async () => (await keys.publicKeys()).keys.map(({ kid }) => kid);
    await expect.poll(async () => (await published()).length, { timeout: 5_000 }).toBe(2);
    expect(await keys.verifying(first)).toBeDefined();
    // As if both had been made days ago.
    const days = 3 * 24 * 3_600_000;
    for (const kid of await published()) {
      const { signs_from } = await db
        .selectFrom('signing_keys')
        .select('signs_from')
        .where('kid', '=', kid!)
        .executeTakeFirstOrThrow();
      await db
        .updateTable('signing_keys')
        .set({ signs_from: signs_from - days })
        .where('kid', '=', kid!)
        .execute();
    }
    const later = new SigningKeys(
      { keys: new SigningKeysRepository({ db, record: recordEvents }) },
      { rotateEvery: 1e12 },
    );
    const second = (await later.signing()).kid;
    expect(second).not.toBe(first);
    expect(await later.verifying(first)).toBeUndefined();
    expect((await later.publicKeys()).keys.map(({ kid }) => kid)).toEqual([second]);
    await later.rotate({}, ACTOR);
    expect((await later.list()).map(({ kid }) => kid)).not.toContain(first);
  });

  it('replaces a key that is old', async () => {
    await using database = await create();
    const repository = new SigningKeysRepository({ db: database.db, record: recordEvents });
    const keys = new SigningKeys({ keys: repository }, { rotateEvery: 0 });
    await keys.signing();
    await new Promise((resolve) => setTimeout(resolve, 2));
    await keys.signing();
    await expect.poll(async () => (await keys.list()).length, { timeout: 5_000 }).toBeGreaterThan(1);
  });

  it('makes one administrator, when nobody administers', async () => {
    await using database = await create();
    const auth = open(database.db);
    const options = { name: 'admin', password: () => undefined };
    const made = await ensureAdministrator(auth, options);
    const login = { username: 'admin', password: made!.generated, address };
    expect((await auth.logins.logIn(login)).subject).toBe('user:admin');
    expect(await ensureAdministrator(auth, options)).toBeUndefined();
    expect(
      (await auth.policies.list()).map(({ subject, pattern, actions }) => [subject, pattern, actions]),
    ).toEqual([['user:admin', '**', ['admin']]]);
    // A crash between the user and the grant is mended by the next start, which does not change the password.
    await auth.policies.remove({ subject: 'user:admin', pattern: '**' }, ACTOR);
    expect(await ensureAdministrator(auth, options)).toBeUndefined();
    expect(await auth.policies.list()).toHaveLength(1);
    expect((await auth.logins.logIn(login)).subject).toBe('user:admin');
  });

  it('keeps a bounded number of refresh tokens of a principal', async () => {
    await using database = await create();
    const refresh = new RefreshTokensRepository(database.db);
    const row = (index: number) => ({
      id: `id-${String(index).padStart(3, '0')}`,
      hash: 'x',
      principal: 'user:ada',
      secretId: undefined,
      clientId: 'docker',
      createdAt: 1_000 + index,
      expiresAt: index < 3 ? 1_050 : 1e15,
    });
    for (let index = 0; index < 60; index++) await refresh.insert(row(index));
    const ids = (await database.db.selectFrom('refresh_tokens').select('id').orderBy('id').execute()).map(
      (it) => it.id,
    );
    expect(ids).toHaveLength(50);
    expect([ids[0], ids.at(-1)]).toEqual(['id-010', 'id-059']);
  });

  it('counts failures, and forgets them', async () => {
    await using database = await create();
    const counts = new LoginThrottleRepository(database.db);
    await counts.add(['a', 'b'], 1_000, 0);
    await counts.add(['a'], 2_000, 0);
    expect([...(await counts.find(['a', 'b', 'c']))].sort()).toEqual([
      ['a', { failures: 2, lastAt: 2_000 }],
      ['b', { failures: 1, lastAt: 1_000 }],
    ]);
    await counts.add(['c'], 3_000, 2_000);
    expect([...(await counts.find(['a', 'b', 'c'])).keys()].sort()).toEqual(['a', 'c']);
    await counts.clear('a');
    expect([...(await counts.find(['a', 'c'])).keys()]).toEqual(['c']);
  });

  it('follows the groups of an OpenID provider, and leaves others alone', async () => {
    await using database = await create();
    const { users, groups } = open(database.db);
    const repository = new GroupsRepository({ db: database.db, record: recordEvents });
    await users.create({ name: 'ada' }, ACTOR);
    await groups.add('by-hand', 'user:ada', ACTOR);
    await repository.follow('user:ada', ['x', 'y', 'z'], ['x', 'y'], ACTOR);
    await repository.follow('user:ada', ['y'], ['x', 'y'], ACTOR);
    expect((await groups.list()).map(({ group }) => group)).toEqual(['by-hand', 'y']);
  });

  it('records each change with who made it, and no secret', async () => {
    await using database = await create();
    const { users, robots, secrets, policies, groups, trust, keys } = open(database.db);
    await users.create({ name: 'ada', password: 'correct horse' }, ACTOR);
    await users.update('ada', { password: 'battery staple' }, ACTOR);
    await robots.create({ name: 'ci' }, ACTOR);
    const { secret } = await secrets.create({ owner: 'robot:ci' }, ACTOR);
    await policies.put({ subject: 'robot:ci', pattern: 'a/*', actions: ['pull'] }, ACTOR);
    await groups.add('devs', 'user:ada', ACTOR);
    await trust.put({ name: 'gh', issuer: 'https://gh.example', audience: 'x', claims: { sub: 'y' } }, ACTOR);
    await keys.rotate({}, ACTOR);
    await trust.remove('gh', ACTOR);
    await users.remove('ada', ACTOR);
    const rows = await database.db.selectFrom('events').selectAll().orderBy('id').execute();
    expect(rows.map(({ action }) => action)).toEqual([
      'user.create',
      'user.update',
      'robot.create',
      'secret.create',
      'grant.put',
      'group.add',
      'trust.put',
      'keys.rotate',
      'trust.delete',
      'user.delete',
    ]);
    expect(new Set(rows.map(({ actor, address: from, outcome }) => `${actor} ${from} ${outcome}`))).toEqual(
      new Set(['user:root 127.0.0.1 done']),
    );
    const text = JSON.stringify(rows);
    for (const it of [secret, 'correct horse', 'battery staple', 'argon2', '"d"'])
      expect(text).not.toContain(it);
  });
});

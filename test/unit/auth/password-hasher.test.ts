import { expect, it } from 'vitest';
import { PasswordHasher } from '#auth/passwords/password-hasher.ts';

const hasher = new PasswordHasher();
const cheap = new PasswordHasher({ memory: 64, passes: 1, lanes: 1 });

it('knows the password that it hashed, and no other', async () => {
  const stored = await hasher.hash('correct horse');
  expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(await hasher.verify('correct horse', stored)).toEqual({ matches: true, outdated: false });
  expect((await hasher.verify('Correct horse', stored)).matches).toBe(false);
  expect((await hasher.verify('', stored)).matches).toBe(false);
});

it('gives one password two hashes', async () => {
  expect(await cheap.hash('a')).not.toBe(await cheap.hash('a'));
});

it('reads hashes of another cost, and says that they are outdated', async () => {
  expect(await hasher.verify('a', await cheap.hash('a'))).toEqual({ matches: true, outdated: true });
});

it('takes composed and decomposed letters for the same', async () => {
  expect((await cheap.verify('pa\u0073\u0301', await cheap.hash('pa\u015b'))).matches).toBe(true);
});

it.each([
  undefined,
  '',
  'plain',
  '$2y$10$abc',
  '$argon2id$v=19$m=64,t=1,p=1$$',
  '$argon2id$v=19$m=64,t=1,p=1$c2FsdA$AAAA',
])('is nobody’s password: %s', async (stored) => {
  expect((await cheap.verify('', stored)).matches).toBe(false);
});

it('lets no more wait than it can serve', async () => {
  const all = await Promise.allSettled(Array.from({ length: 100 }, () => cheap.verify('a', undefined)));
  const refused = all.filter((it) => it.status === 'rejected');
  expect(refused.length).toBe(34);
  for (const it of refused) expect(it.reason).toMatchObject({ kind: 'too-many', detail: { retryAfter: 2 } });
  expect((await cheap.verify('a', undefined)).matches).toBe(false);
});

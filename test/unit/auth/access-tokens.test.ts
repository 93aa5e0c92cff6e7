import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SigningKeys } from '#auth/keys/signing-keys.ts';
import { SigningKeysRepository } from '#auth/keys/signing-keys-repository.ts';
import { AccessTokens } from '#auth/tokens/access-tokens.ts';
import { openRegistryDatabase, type RegistryDatabase } from '#database/registry/open.ts';

const LIFE = 300_000;
const MINUTE = 60_000;

let db: RegistryDatabase;
let keys: SigningKeys;

beforeAll(async () => {
  db = await openRegistryDatabase({ driver: 'sqlite', file: ':memory:' });
  const repository = new SigningKeysRepository({ db, record: async () => {} });
  keys = new SigningKeys({ keys: repository }, { rotateEvery: 90 * 24 * 60 * MINUTE });
});
afterAll(() => db.destroy());

function tokens(clockTolerance: number): AccessTokens {
  return new AccessTokens({ keys }, { issuer: 'slipway', service: 'slipway', life: LIFE, clockTolerance });
}

/** What a process whose clock is `ahead` milliseconds before ours (or behind, below 0) issues now. */
async function issuedBy(ahead: number): Promise<string> {
  return await tokens(0).issue({
    subject: 'user:ada',
    principal: 'user:ada',
    subjects: ['user:ada'],
    access: [{ type: 'repository', class: '', name: 'team/app', actions: ['pull'] }],
    limits: undefined,
    issuedAt: Date.now() + ahead,
  });
}

describe('clocks that differ', () => {
  it.each([
    ['ahead', 20_000],
    ['so far behind that the token has just run out', -LIFE - 20_000],
  ])('are tolerated within the bound: %s', async (_, ahead) => {
    const token = await issuedBy(ahead);
    expect(await tokens(MINUTE).verify(token)).toMatchObject({ subject: 'user:ada' });
    await expect(tokens(0).verify(token)).rejects.toMatchObject({ kind: 'unauthorized' });
  });

  it.each([
    ['ahead', 2 * MINUTE],
    ['behind', -LIFE - 2 * MINUTE],
  ])('are not beyond it: %s', async (_, ahead) => {
    await expect(tokens(MINUTE).verify(await issuedBy(ahead))).rejects.toMatchObject({
      kind: 'unauthorized',
    });
  });
});

it('a token that was found good is refused once it has run out', async () => {
  const checked = tokens(MINUTE);
  // Runs out, tolerance and all, in a moment.
  const token = await issuedBy(-LIFE - MINUTE + 1_500);
  expect(await checked.verify(token)).toMatchObject({ subject: 'user:ada' });
  await expect
    .poll(() => checked.verify(token).catch((error) => error.kind), { timeout: 10_000 })
    .toBe('unauthorized');
});

import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import { createAuthority, createRequest, fingerprint } from '#pool/workers/certificates.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';

const HOUR = 60 * 60_000;

function privateKey(): string {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

const open = (db: PoolDatabase) => Enrolment.open(new MembershipRepository(db), { life: 24 * HOUR });

onEachPoolDatabase('who may join a pool', (create) => {
  it('is whoever has a token, once, with one key, also when the answer was lost', async () => {
    await using database = await create();
    const enrolment = await open(database.db);
    const { text: token } = await enrolment.createToken(HOUR);
    const key = privateKey();
    const joining = { token, name: 'w1', request: await createRequest(key, 'w1') };
    const issued = await enrolment.join(joining);
    const certificate = new X509Certificate(issued.certificate);
    expect(certificate.subject).toBe('O=worker\nCN=w1');
    expect(certificate.checkHost('w1.worker.slipway')).toBe('w1.worker.slipway');
    expect(certificate.verify(new X509Certificate(issued.authority).publicKey)).toBe(true);
    expect((await enrolment.join(joining)).authority).toBe(issued.authority);
    await expect(
      enrolment.join({ ...joining, request: await createRequest(privateKey(), 'w1') }),
    ).rejects.toThrow('was used already');
  });

  it('is nobody with a forged token, or one that ran out', async () => {
    await using database = await create();
    const enrolment = await open(database.db);
    const request = await createRequest(privateKey(), 'w1');
    const { text: token } = await enrolment.createToken(HOUR);
    const forged = `${token.slice(0, -4)}AAAA`;
    await expect(enrolment.join({ token: forged, name: 'w1', request })).rejects.toThrow(
      'no such join token',
    );
    await expect(enrolment.join({ token: 'slj_x', name: 'w1', request })).rejects.toThrow('is no join token');
    const { text: old } = await enrolment.createToken(0);
    await expect(enrolment.join({ token: old, name: 'w1', request })).rejects.toThrow('ran out');
    // Whoever only guessed the id did not use it up.
    await enrolment.join({ token, name: 'w1', request });
  });

  it('does not get the name of another worker, and keeps the token for a better one', async () => {
    await using database = await create();
    const enrolment = await open(database.db);
    const [one, two] = [await enrolment.createToken(HOUR), await enrolment.createToken(HOUR)];
    await enrolment.join({ token: one.text, name: 'w1', request: await createRequest(privateKey(), 'w1') });
    const request = await createRequest(privateKey(), 'w1');
    await expect(enrolment.join({ token: two.text, name: 'w1', request })).rejects.toThrow(
      "another worker called 'w1'",
    );
    await enrolment.join({ token: two.text, name: 'w2', request });
  });

  it('is one of those who use a token at once', async () => {
    await using database = await create();
    const other = await database.another();
    const { text: token } = await (await open(database.db)).createToken(HOUR);
    const joined = await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map(async (name, i) => {
        const enrolment = await open(i % 2 ? database.db : other);
        return await enrolment.join({ token, name, request: await createRequest(privateKey(), name) });
      }),
    );
    expect(joined.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('is one of those who want a name at once, and the others keep their tokens', async () => {
    await using database = await create();
    const enrolments = await Promise.all([database.db, await database.another()].map(open));
    const tokens = await Promise.all([1, 2, 3, 4].map(() => enrolments[0]!.createToken(HOUR)));
    const joining = await Promise.all(
      tokens.map(async ({ text: token }) => ({
        token,
        name: 'same',
        request: await createRequest(privateKey(), 'same'),
      })),
    );
    const joined = await Promise.allSettled(joining.map((each, i) => enrolments[i % 2]!.join(each)));
    expect(joined.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const [i, { status }] of joined.entries()) {
      if (status === 'fulfilled') continue;
      const request = await createRequest(privateKey(), `own-${i}`);
      await enrolments[0]!.join({ token: tokens[i]!.text, name: `own-${i}`, request });
    }
  });

  it('has a name that can be part of a host’s, and a key of its own', async () => {
    await using database = await create();
    const enrolment = await open(database.db);
    const { text: token } = await enrolment.createToken(HOUR);
    const request = await createRequest(privateKey(), 'w1');
    for (const name of ['', 'W1', 'a_b', '-a', 'a/b', 'a'.repeat(64)]) {
      await expect(enrolment.join({ token, name, request })).rejects.toThrow("is no worker's name");
    }
    await expect(enrolment.join({ token, name: 'w1', request: 'x' })).rejects.toThrow(
      'no certificate request',
    );
  });

  it('is known by its key until it is removed', async () => {
    await using database = await create();
    const members = new MembershipRepository(database.db);
    const enrolment = await open(database.db);
    const { text: token } = await enrolment.createToken(HOUR);
    const request = await createRequest(privateKey(), 'w1');
    const { certificate } = await enrolment.join({ token, name: 'w1', request });
    expect(new X509Certificate((await enrolment.renew('w1', certificate)).certificate).subject).toContain(
      'w1',
    );
    await expect(enrolment.renew('w2', certificate)).rejects.toThrow('was removed');
    expect(await members.remove('w1')).toBe(true);
    await expect(enrolment.renew('w1', certificate)).rejects.toThrow('was removed');
  });

  it('trusts one authority, whichever gateway came first', async () => {
    await using database = await create();
    const members = [database.db, await database.another()].map((db) => new MembershipRepository(db));
    const found = await Promise.all(members.map((each) => each.authority(createAuthority)));
    expect(fingerprint(found[0]!.certificate)).toBe(fingerprint(found[1]!.certificate));
  });
});

import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextTime } from '#pool/triggers/cron.ts';
import { readPush } from '#pool/triggers/pushes.ts';
import { fillIn } from '#pool/triggers/template.ts';
import { matchesPattern } from '#pool/triggers/trigger.ts';
import { signatureHeaders } from '#webhooks/signature.ts';

const at = (text: string) => Date.parse(text);

describe('cron lines', () => {
  it.each([
    ['*/15 * * * *', 'UTC', '2026-01-01T00:07:00Z', '2026-01-01T00:15:00Z'],
    ['0 3 * * *', 'Europe/Berlin', '2026-01-01T12:00:00Z', '2026-01-02T02:00:00Z'],
    ['0 3 * * *', 'Europe/Berlin', '2026-07-01T12:00:00Z', '2026-07-02T01:00:00Z'],
    // The hour from two to three is left out that day: an hour later by the clock.
    ['30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-29T01:00:00Z'],
    // It comes twice that day, and counts once.
    ['30 2 * * *', 'Europe/Berlin', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
    ['0 0 29 2 *', 'UTC', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
    ['0 9 * * 1-5', 'America/New_York', '2026-01-02T20:00:00Z', '2026-01-05T14:00:00Z'],
  ])('%s in %s after %s', (cron, zone, after, expected) => {
    expect(new Date(nextTime(cron, zone, at(after)))).toEqual(new Date(expected));
  });

  it.each([
    ['61 * * * *', 'UTC', 'no cron line'],
    ['* * * *', 'UTC', 'no cron line'],
    ['* * * * * *', 'UTC', 'no cron line'],
    ['; rm', 'UTC', 'no cron line'],
    ['* * * * *', 'Mars/Base', 'no time zone'],
    ['0 0 30 2 *', 'UTC', 'no time that comes'],
  ])('%s in %s is refused', (cron, zone, message) => {
    expect(() => nextTime(cron, zone, at('2026-01-01T00:00:00Z'))).toThrow(message);
  });
});

describe('placeholders', () => {
  it('are filled in where texts are, and stay texts', () => {
    const template = { a: ['x {{ commit }}', 1, null], '{{commit}}': true };
    expect(fillIn(template, { commit: '","b":"' })).toEqual({
      a: ['x ","b":"', 1, null],
      '{{commit}}': true,
    });
  });

  it('are not filled in again by what they are filled with', () => {
    expect(fillIn('{{a}}', { a: '{{b}}', b: 'no' })).toBe('{{b}}');
  });

  it('that are not there are refused', () => {
    expect(() => fillIn('{{nope}}', { commit: 'c' })).toThrow(
      'there is no placeholder nope here, but commit',
    );
    expect(() => fillIn('{{constructor}}', {})).toThrow('no placeholder');
  });
});

describe('patterns', () => {
  it.each([
    ['refs/heads/*', 'refs/heads/a/b', true],
    ['refs/heads/*', 'refs/tags/v1', false],
    ['*', '', true],
    ['a*a', 'a', false],
    ['a*b*c', 'a--b--c', true],
    ['a*b*c', 'a--c', false],
    ['a.c', 'abc', false],
  ])('%s, %s: %s', (pattern, text, expected) => expect(matchesPattern(pattern, text)).toBe(expected));

  it('mean what a regular expression does', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
    fc.assert(
      fc.property(word, fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 }), (pattern, text) => {
        expect(matchesPattern(pattern, text)).toBe(
          new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(text),
        );
      }),
    );
  });
});

describe('pushes', () => {
  const secret = 'a secret of this test';
  const now = at('2026-01-01T00:00:00Z');
  const commit = 'c'.repeat(40);
  const git = (from: 'github' | 'gitea' | 'gitlab') =>
    ({ kind: 'git', from, refs: ['refs/heads/*'] }) as const;
  const push = (changes = {}) =>
    Buffer.from(
      JSON.stringify({
        ref: 'refs/heads/Fix/It',
        after: commit,
        repository: { full_name: 't/app' },
        ...changes,
      }),
    );
  const hmac = (body: Buffer, by = secret) => createHmac('sha256', by).update(body).digest('hex');
  const signed = {
    github: (body: Buffer, by = secret) => ({ 'x-hub-signature-256': `sha256=${hmac(body, by)}` }),
    gitea: (body: Buffer, by = secret) => ({ 'x-gitea-signature': hmac(body, by) }),
    gitlab: (_: Buffer, by = secret) => ({ 'x-gitlab-token': by }),
  };

  it.each(['github', 'gitea', 'gitlab'] as const)('of %s are known by their signature', (from) => {
    const body = push();
    const sent = { headers: signed[from](body), body };
    expect(readPush(git(from), sent, { secret, now }).values).toEqual({
      ref: 'refs/heads/Fix/It',
      branch: 'Fix/It',
      tag: '',
      slug: 'fix-it',
      commit,
      repository: 't/app',
    });
    for (const headers of [{}, signed[from](body, 'another secret'), { 'x-hub-signature-256': 'sha256=' }]) {
      expect(() => readPush(git(from), { headers, body }, { secret, now })).toThrow('not signed');
    }
  });

  it('that delete a ref, or are of another one, mean nothing', () => {
    for (const changes of [
      { after: '0'.repeat(40) },
      { ref: 'refs/tags/v1' },
      { ref: 7 },
      { after: '$(id)' },
    ]) {
      const body = push(changes);
      const read = readPush(git('github'), { headers: signed.github(body), body }, { secret, now });
      expect(read.values).toBeUndefined();
    }
  });

  it('of a registry are signed, and not old', () => {
    const key = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    const source = { kind: 'registry', images: ['library/*:1'] } as const;
    const data = { repository: 'library/base', tag: '1', digest: 'sha256:0' };
    const text = JSON.stringify({ type: 'io.slipway.manifest.push', data });
    const headers = signatureHeaders({ id: 'delivery-1', at: now, body: text }, [key]);
    const read = (moment: number, body = text) =>
      readPush(source, { headers, body: Buffer.from(body) }, { secret: key, now: moment });
    expect(read(now + 60_000)).toEqual({ event: 'delivery-1', values: data });
    expect(() => read(now + 600_000)).toThrow('too old');
    expect(() => read(now, text.replace('"1"', '"2"'))).toThrow('not of its secret');
  });
});

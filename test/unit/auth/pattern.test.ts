import fc from 'fast-check';
import { expect, it } from 'vitest';
import { covers, parseNamespacePattern } from '#auth/policies/pattern.ts';
import { permissionsOf } from '#auth/policies/permissions.ts';
import { isRepositoryName } from '#oci/reference.ts';

const name = fc.stringMatching(/^[ab]{1,3}(?:\/[ab]{1,3}){0,3}$/);
const component = fc.stringMatching(/^[ab*]{1,4}$/).filter((it) => !it.includes('**'));
const pattern = fc
  .tuple(fc.array(component, { minLength: 0, maxLength: 3 }), fc.boolean(), component)
  .map(([fixed, open, last]) => [...fixed, open ? '**' : last].join('/'));

/** The same by regular expressions. */
function expression(text: string): RegExp {
  const source = text
    .split('/')
    .map((it) => (it === '**' ? '[^/]+(?:/[^/]+)*' : it.replaceAll('*', '[^/]*')))
    .join('/');
  return new RegExp(`^${source}$`);
}

it('matches as the regular expression does', () => {
  fc.assert(
    fc.property(pattern, name, (it, path) => {
      expect(covers(it, path)).toBe(expression(it).test(path));
    }),
    {
      numRuns: 2_000,
    },
  );
});

it('covers a pattern only when it covers each name that the pattern covers', () => {
  fc.assert(
    fc.property(pattern, pattern, fc.array(name, { minLength: 5, maxLength: 20 }), (outer, inner, names) => {
      if (!covers(outer, inner)) return;
      for (const path of names) if (covers(inner, path)) expect(covers(outer, path)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

it('covers itself, and ** covers everything', () => {
  fc.assert(
    fc.property(pattern, (it) => {
      expect(covers(it, it)).toBe(true);
      expect(covers('**', it)).toBe(true);
    }),
  );
});

it.each([
  ['team/**', 'team/app', true],
  ['team/**', 'team/a/b', true],
  ['team/**', 'team', false],
  ['team/**', 'teams/app', false],
  ['team/*', 'team/app', true],
  ['team/*', 'team/a/b', false],
  ['*', 'app', true],
  ['*', 'team/app', false],
  ['**', 'app', true],
  ['team/ci-*', 'team/ci-1', true],
  ['team/ci-*', 'team/c', false],
  ['*/app', 'team/app', true],
  ['team/app', 'team/app', true],
  ['team/app', 'team/app/x', false],
  ['*', '**', false],
  ['team/*', 'team/**', false],
  ['team/**', '**', false],
])('%s, %s: %s', (outer, inner, expected) => {
  expect(covers(outer, inner)).toBe(expected);
});

it('takes no longer for a pattern of many wildcards', () => {
  const text = `${'a'.repeat(200)}`;
  expect(covers('a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b', text)).toBe(false);
});

it.each([
  '',
  '/',
  'a/',
  '/a',
  'a//b',
  '**/a',
  'a**',
  'a/b**',
  '../a',
  'A',
  'a b',
  '.',
  'a/\u0000',
  'a:b',
  'a'.repeat(256),
])('is no pattern: %j', (text) => {
  expect(() => parseNamespacePattern(text)).toThrow(expect.objectContaining({ kind: 'invalid' }));
});

it('takes every repository name as a pattern for itself', () => {
  const names = fc.stringMatching(
    /^[a-z0-9]{1,5}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}(?:\/[a-z0-9]{1,5}){0,2}$/,
  );
  fc.assert(
    fc.property(names, (it) => {
      expect(isRepositoryName(it)).toBe(true);
      expect(covers(parseNamespacePattern(it), it)).toBe(true);
    }),
  );
});

it('adds up permissions: admin is everything, and only of what it names', () => {
  const permissions = permissionsOf([
    { pattern: parseNamespacePattern('team/**'), actions: ['admin'] },
    { pattern: parseNamespacePattern('other/*'), actions: ['pull'] },
  ]);
  expect(permissions.allows('team/a', 'delete')).toBe(true);
  expect(permissions.allows('other/a', 'pull')).toBe(true);
  expect(permissions.allows('other/a', 'push')).toBe(false);
  expect(permissions.administers('team/x/**')).toBe(true);
  expect(permissions.administers()).toBe(false);
});

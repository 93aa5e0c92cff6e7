import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatScope, mergeScopes, parseScope, type Scope } from '#auth/scopes/scope.ts';

const word = fc.string({ unit: fc.constantFrom(...'abz019'), minLength: 1, maxLength: 8 });
const host = fc.tuple(word, fc.integer({ min: 1, max: 65_535 })).map(([it, port]) => `${it}:${port}`);
const name = fc
  .array(fc.oneof({ weight: 5, arbitrary: word }, host), { minLength: 1, maxLength: 4 })
  .map((it) => it.join('/'));
const action = fc.oneof(
  fc.constantFrom('pull', 'push', 'delete', '*'),
  fc.string({ unit: fc.constantFrom(...'abz'), minLength: 1, maxLength: 8 }),
);
const scope: fc.Arbitrary<Scope> = fc.record({
  type: word,
  class: fc.oneof(fc.constant(''), word),
  name,
  actions: fc.uniqueArray(action, { maxLength: 4 }),
});

it('reads what it writes', () => {
  fc.assert(
    fc.property(scope, (it) => {
      expect(parseScope(formatScope(it))).toEqual(it);
    }),
  );
});

it('reads anything without failing, and writes what it read the same way', () => {
  const noise = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'az():,*/ '), maxLength: 40 }),
    scope.chain((it) => fc.string({ maxLength: 3 }).map((more) => formatScope(it) + more)),
  );
  fc.assert(
    fc.property(noise, (text) => {
      const parsed = parseScope(text);
      if (parsed) expect(parseScope(formatScope(parsed))).toEqual(parsed);
    }),
  );
});

it.each([
  ['repository:team/app:pull', 'repository', '', 'team/app', ['pull']],
  [
    'repository:localhost:5000/team/app:pull,push',
    'repository',
    '',
    'localhost:5000/team/app',
    ['pull', 'push'],
  ],
  ['repository(plugin):team/app:pull', 'repository', 'plugin', 'team/app', ['pull']],
  ['registry:catalog:*', 'registry', '', 'catalog', ['*']],
  ['repository:a:', 'repository', '', 'a', []],
  ['repository:a:pull,pull', 'repository', '', 'a', ['pull']],
])('%s', (text, type, kind, path, actions) => {
  expect(parseScope(text)).toEqual({ type, class: kind, name: path, actions });
});

it.each([
  '',
  ':',
  '::',
  'repository',
  'repository:a',
  'repository::pull',
  ':a:pull',
  'repository(:a:pull',
  'repository():a:pull',
  'repository:a b:pull',
  'repository:a:pull push',
  'repository:a:,pull',
  'repository:a:pull,',
  'repository:a:Pull',
  'repository:a\n:pull',
  `repository:${'a'.repeat(700)}:pull`,
])('is no scope: %j', (text) => {
  expect(parseScope(text)).toBeUndefined();
});

it('joins scopes for one thing: each action that any of them has, once, and no other', () => {
  fc.assert(
    fc.property(fc.array(scope, { maxLength: 6 }), (scopes) => {
      const key = (it: Scope) => `${it.type}(${it.class}):${it.name}`;
      const merged = mergeScopes(scopes);
      expect(new Set(merged.map(key)).size).toBe(merged.length);
      for (const it of merged) {
        const asked = scopes.filter((other) => key(other) === key(it)).flatMap(({ actions }) => actions);
        expect([...it.actions].sort()).toEqual([...new Set(asked)].sort());
      }
    }),
  );
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { meets, parseClaimRules } from '#auth/trust/claim-rules.ts';

it('matches patterns as the regular expression does', () => {
  const pattern = fc.stringMatching(/^[ab*]{1,6}$/);
  fc.assert(
    fc.property(pattern, fc.stringMatching(/^[ab]{0,8}$/), (rule, text) => {
      const expression = new RegExp(`^${rule.replace(/\*+/g, '.*')}$`);
      expect(meets({ sub: text }, { sub: [rule] })).toBe(expression.test(text));
    }),
    { numRuns: 2_000 },
  );
});

it.each([
  [{ sub: 'a' }, { sub: ['a'] }, true],
  [{ sub: 'A' }, { sub: ['a'] }, false],
  [{ sub: 'b' }, { sub: ['a', 'b'] }, true],
  [{ sub: 'a', ref: 'x' }, { sub: ['a'], ref: ['y'] }, false],
  [{}, { sub: ['*'] }, false],
  [{ sub: null }, { sub: ['*'] }, false],
  [{ sub: { a: 1 } }, { sub: ['*'] }, false],
  [{ groups: ['x', 'y'] }, { groups: ['y'] }, true],
  [{ groups: [] }, { groups: ['*'] }, false],
  [{ protected: true, id: 7 }, { protected: ['true'], id: ['7'] }, true],
  [{}, { toString: ['*'] }, false],
  [{}, { __proto__: ['*'] } as never, true],
])('%j by %j: %s', (claims, rules, expected) => {
  expect(meets(claims, rules)).toBe(expected);
});

it('takes a text for a list of one', () => {
  expect(parseClaimRules({ sub: 'a', ref: ['b', '*'] })).toEqual({ sub: ['a'], ref: ['b', '*'] });
});

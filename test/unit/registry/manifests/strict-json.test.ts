import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseStrictJson } from '#registry/manifests/strict-json.ts';

it('reads every JSON document as JSON.parse does', () => {
  fc.assert(
    fc.property(fc.json({ depthSize: 'medium' }), fc.nat(4), (text, indent) => {
      const spaced = JSON.stringify(JSON.parse(text), undefined, indent);
      expect(parseStrictJson(spaced)).toEqual(JSON.parse(text));
    }),
  );
});

it.each([
  '{"a":1,"a":1}',
  '{"a":1,"\\u0061":1}',
  '[{"b":{"x":[],"y":{"a":"{","a":2}}}]',
  '{"a":"\\\\","b":1,"a":1}',
  '{ "a" : 1 ,\n"b":[1,2],\t"a" : 1 }',
  '{"":1,"":2}',
  '{"__proto__":1,"__proto__":2}',
])('refuses a key that is there twice: %s', (text) => {
  expect(() => parseStrictJson(text)).toThrow(/ is there twice$/);
});

it.each([
  '{"a":1,"A":1}',
  '{"a":"a","b":"a"}',
  '[{"a":1},{"a":1}]',
  '{"a":{"a":{"a":1}}}',
  '{"a":"\\",\\"a\\":"}',
])('takes %s', (text) => {
  expect(parseStrictJson(text)).toEqual(JSON.parse(text));
});

it('finds any key that was put in again', () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 });
  fc.assert(
    fc.property(object, fc.nat(), (value, which) => {
      const members = Object.entries(value).map(
        ([key, item]) => `${JSON.stringify(key)}:${JSON.stringify(item)}`,
      );
      const again = [...members, members[which % members.length]];
      expect(() => parseStrictJson(`{${again.join(',')}}`)).toThrow(/ is there twice$/);
    }),
  );
});

it.each([
  ['lists', `${'['.repeat(101)}${']'.repeat(101)}`],
  ['objects', `${'{"a":'.repeat(101)}1${'}'.repeat(101)}`],
  ['lists without an end', '['.repeat(4_000_000)],
])('refuses %s within each other without end', (_, text) => {
  expect(() => parseStrictJson(text)).toThrow('nested deeper than 100');
});

it('refuses more members than any manifest has', () => {
  expect(() => parseStrictJson(`[${'{},'.repeat(1_000_000)}{}]`)).toThrow('more than 200000 members');
});

it('answers anything at all with a value or a SyntaxError', () => {
  const noise = fc.array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', 'a', '1', ' ', '\n'), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(noise, (pieces) => {
      const text = pieces.join('');
      try {
        expect(parseStrictJson(text)).toEqual(JSON.parse(text));
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError);
      }
    }),
    { numRuns: 2000 },
  );
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isKind } from '#errors/errors.ts';
import { algorithmOf, type Digest, Digester, digestOf, hexOf, isDigest, parseDigest } from '#oci/digest.ts';

const algorithm = fc.constantFrom('sha256' as const, 'sha512' as const);
/** Near misses: a real digest with something put in, taken out or replaced. */
const spoiled = fc
  .tuple(
    fc.uint8Array(),
    algorithm,
    fc.nat(140),
    fc.constantFrom('', 'A', 'g', ':', '/', '.', '\n', '\0', ' ', 'é', '00'),
  )
  .map(([bytes, name, at, text]) => {
    const digest = digestOf(bytes, name);
    return digest.slice(0, at) + text + digest.slice(at + 1);
  });

it('reads back what it computes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), algorithm, (bytes, name) => {
      const digest = digestOf(bytes, name);
      expect(parseDigest(digest)).toBe(digest);
      expect([algorithmOf(digest), `${name}:${hexOf(digest)}`]).toEqual([name, digest]);
    }),
  );
});

it('computes the same in pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), algorithm, (pieces, name) => {
      const digester = new Digester(name);
      for (const piece of pieces) digester.update(piece);
      expect(digester.digest()).toBe(digestOf(Buffer.concat(pieces), name));
    }),
  );
});

it('takes sha256 and sha512 in lower-case hex, and nothing else', () => {
  const grammar = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
  fc.assert(
    fc.property(fc.oneof(spoiled, fc.string(), fc.string({ unit: 'binary' })), (text) => {
      // `$` would let a line break pass.
      expect(isDigest(text)).toBe(grammar.test(text) && !text.endsWith('\n'));
    }),
  );
});

it.each([
  '',
  ':',
  'sha256',
  'sha256:',
  ':00',
  'constructor:00',
  '__proto__:',
  'toString:0',
  'hasOwnProperty:',
])('refuses "%s" as a digest that is invalid', (text) => {
  let thrown: unknown;
  try {
    parseDigest(text);
  } catch (error) {
    thrown = error;
  }
  expect(isKind(thrown, 'invalid')).toBe(true);
  expect(thrown).toMatchObject({ code: 'DIGEST_INVALID' });
});

it('says of a very long one no more than its beginning', () => {
  expect(() => parseDigest('x'.repeat(1_000_000) as Digest)).toThrow(/^.{1,300}$/);
});

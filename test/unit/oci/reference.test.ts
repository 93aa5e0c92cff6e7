import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SlipwayError } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import {
  familiarReference,
  isRepositoryName,
  isTag,
  parseImageReference,
  parseRepositoryName,
  type RepositoryName,
  type Tag,
} from '#oci/reference.ts';
import { isReferrersTag, referrersTag } from '#oci/referrers-tag.ts';

// The specification's own expressions (OCI distribution-spec, "Pulling manifests").
const NAME = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

const nameLike = fc
  .array(fc.constantFrom('a', 'b0', 'C', '.', '..', '_', '__', '___', '-', '--', '/', '//', '%', '\n', ' '), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''));
const component = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}$/);
const name = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const tag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/);

it('takes the names that the specification takes, of at most 255 characters', () => {
  fc.assert(
    fc.property(fc.oneof(nameLike, name, fc.string()), (text) => {
      expect(isRepositoryName(text)).toBe(NAME.test(text) && !text.endsWith('\n') && text.length <= 255);
    }),
    { numRuns: 1000 },
  );
  expect(isRepositoryName('a'.repeat(255))).toBe(true);
  expect(isRepositoryName('a'.repeat(256))).toBe(false);
});

it('takes the tags that the specification takes', () => {
  const tagLike = fc
    .array(fc.constantFrom('a', 'Z', '0', '.', '_', '-', ':', '/', '\n', 'é'), { maxLength: 10 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(tagLike, tag, fc.string()), (text) => {
      expect(isTag(text)).toBe(TAG.test(text) && !text.endsWith('\n'));
    }),
  );
  expect([isTag('a'.repeat(128)), isTag('a'.repeat(129))]).toEqual([true, false]);
});

it.each([
  ['a name without an end', `${'a-'.repeat(200_000)}!`],
  ['separators without an end', `a${'-'.repeat(400_000)}`],
  ['slashes without an end', 'a/'.repeat(200_000)],
])('refuses %s at once', (_, text) => {
  expect(() => parseRepositoryName(text)).toThrow(SlipwayError);
  expect(() => parseImageReference(text)).toThrow(SlipwayError);
});

it('reads back every reference that it writes', () => {
  const digest = fc.uint8Array().map((bytes) => digestOf(bytes));
  const parts = fc.record({
    domain: fc.constantFrom(
      'docker.io',
      'localhost',
      'example.com',
      '127.0.0.1:5000',
      'Registry:443',
      '[::1]:5000',
    ),
    path: name,
    tag: fc.option(tag, { nil: undefined }),
    digest: fc.option(digest, { nil: undefined }),
  });
  fc.assert(
    fc.property(parts, ({ domain, path, ...rest }) => {
      // Docker Hub has no names of one component, and a first one that looks like a host is taken for one.
      fc.pre(domain !== 'docker.io' || (path.includes('/') && !/^[^/]*[.:]|^localhost\//.test(path)));
      const reference = {
        domain,
        path: path as RepositoryName,
        ...(rest.tag !== undefined && { tag: rest.tag as Tag }),
        ...(rest.digest !== undefined && { digest: rest.digest }),
      };
      expect(parseImageReference(familiarReference(reference))).toEqual(reference);
    }),
  );
});

it('answers anything at all with a reference or a clear error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), nameLike), (text) => {
      try {
        const { path, tag, digest } = parseImageReference(text);
        expect(isRepositoryName(path) && (tag === undefined || isTag(tag))).toBe(true);
        expect(digest === undefined || text.endsWith(`@${digest}`)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(SlipwayError);
        expect(error).toMatchObject({ kind: 'invalid' });
      }
    }),
    { numRuns: 1000 },
  );
});

it('makes a tag of any digest under which its referrers may be kept', () => {
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.constantFrom('sha256' as const, 'sha512' as const),
      (bytes, algorithm) => {
        const made = referrersTag(digestOf(bytes, algorithm));
        expect(isTag(made) && isReferrersTag(made)).toBe(true);
      },
    ),
  );
  expect(isReferrersTag('sha256-00' as Tag)).toBe(false);
});

import { describe, expect, it } from 'vitest';
import { parseImageReference } from '#oci/reference.ts';
import { referenceMatcher } from '#worker/images/list/image-glob.ts';

describe('the filter "reference"', () => {
  it.each([
    ['busybox', 'busybox:1', true],
    ['busybox:1', 'busybox:1', true],
    ['busybox:2', 'busybox:1', false],
    ['busy*', 'busybox:1', true],
    ['b?sybox', 'busybox:1', true],
    ['*:1', 'busybox:1', true],
    ['*', 'a/b:1', false],
    ['*/*', 'a/b:1', true],
    ['*.*', 'busybox:1.0', true],
    ['127.0.0.1:5000/*', '127.0.0.1:5000/a:x', true],
    ['[a-c]usybox', 'busybox:1', true],
    ['[^a-c]usybox', 'busybox:1', false],
    ['busybo(x)', 'busybox:1', false],
  ])('%s on %s: %s', (pattern, name, matches) =>
    expect(referenceMatcher([pattern])(parseImageReference(name))).toBe(matches),
  );

  it('refuses a pattern that is none', () => expect(() => referenceMatcher(['[a'])).toThrow('syntax error'));

  it('takes no time for many stars', () =>
    expect(referenceMatcher([`${'*'.repeat(200)}x`])(parseImageReference('a'.repeat(200)))).toBe(false));
});

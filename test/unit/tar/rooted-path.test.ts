import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Step, walkRooted, withinRoot } from '#tar/rooted-path.ts';

/** Links by path; everything else is there, but for `gone`. */
const links: Record<string, string> = {
  absolute: '/etc',
  relative: '../../up',
  'dir/inner': 'sibling/deep',
  chain: 'absolute/passwd',
  loop: 'loop',
};

function look(path: string): Step {
  if (path.split('/').includes('gone')) return undefined;
  const target = links[path];
  return target === undefined ? 'here' : { target };
}

describe('a path within a root', () => {
  it.each([
    ['/a/b', 'a/b'],
    ['', ''],
    ['a/../../../b', 'b'],
    ['absolute/passwd', 'etc/passwd'],
    ['dir/relative', 'dir/relative'],
    ['relative', 'up'],
    ['dir/inner/x', 'dir/sibling/deep/x'],
    ['dir/inner/../x', 'dir/sibling/x'],
    ['chain', 'etc/passwd'],
    ['a/gone/b', undefined],
  ])('%s leads to %s', (path, expected) => {
    expect(walkRooted(path, look)).toBe(expected);
  });

  it('is refused when its links have no end', () => {
    expect(() => walkRooted('loop/x', look)).toThrow('too many levels of symbolic links: loop/x');
  });

  it('is told which component is the last', () => {
    const seen: [string, boolean][] = [];
    walkRooted('a/b', (path, isLast) => {
      seen.push([path, isLast]);
      return 'here';
    });
    expect(seen).toEqual([
      ['a', false],
      ['a/b', true],
    ]);
  });

  it('never leaves it, whatever it and its links say', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '/'), maxLength: 12 });
    fc.assert(
      fc.property(text, fc.array(fc.option(text), { maxLength: 30 }), (path, targets) => {
        const steps = targets[Symbol.iterator]();
        const next = (at: string): Step => {
          expect(at.split('/')).not.toContain('..');
          const target = steps.next().value;
          return typeof target === 'string' ? { target } : 'here';
        };
        expect(walkRooted(path, next)).not.toMatch(/^\/|(?:^|\/)\.\.?(?:\/|$)/);
        expect(withinRoot(path)).not.toMatch(/^\/|(?:^|\/)\.\.?(?:\/|$)/);
      }),
    );
  });
});

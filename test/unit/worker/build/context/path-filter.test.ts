import { describe, expect, it } from 'vitest';
import { type FilterPatterns, PathFilter } from '#worker/build/context/path-filter.ts';

const TREE = ['a/', 'a/b/', 'a/b/c', 'a/d', 'e/', 'e/f/', 'e/f/g.md', 'e/f/h', 'i', 'j/', 'j/k'];

function walk(patterns: FilterPatterns, tree = TREE): { taken: string[]; visited: number } {
  const filter = new PathFilter(patterns);
  const taken: string[] = [];
  const closed: string[] = [];
  let visited = 0;
  for (const entry of tree) {
    if (closed.some((directory) => entry.startsWith(directory))) continue;
    visited++;
    const verdict = filter.visit(entry.replace(/\/$/, ''), entry.endsWith('/'));
    taken.push(...verdict.taken);
    if (!verdict.enter) closed.push(entry);
  }
  return { taken, visited };
}

describe('a filter', () => {
  it('without patterns takes everything', () => {
    expect(walk({}).taken).toEqual(TREE.map((entry) => entry.replace(/\/$/, '')));
  });

  it.each([
    [{ include: ['a/b'] }, ['a', 'a/b', 'a/b/c']],
    [{ include: ['e/f/h', 'i'] }, ['e', 'e/f', 'e/f/h', 'i']],
    [{ include: ['**/*.md'] }, ['e', 'e/f', 'e/f/g.md']],
    [{ include: ['nothing'] }, []],
    [{ exclude: ['a', 'e/f'] }, ['e', 'i', 'j', 'j/k']],
    [{ exclude: ['*', '!e/f/h'] }, ['e', 'e/f', 'e/f/h']],
    [{ exclude: ['a', '!a/**/c'] }, ['a', 'a/b', 'a/b/c', 'e', 'e/f', 'e/f/g.md', 'e/f/h', 'i', 'j', 'j/k']],
    [{ include: ['e'], exclude: ['**/*.md'] }, ['e', 'e/f', 'e/f/h']],
  ])('%j takes paths, and directories above them', (patterns, expected) => {
    expect(walk(patterns).taken).toEqual(expected);
  });

  it('does not enter what can have nothing', () => {
    expect(walk({ include: ['a/b'] }).visited).toBe(TREE.length - 4);
    expect(walk({ exclude: ['a', 'e'] }).visited).toBe(5);
    expect(walk({ exclude: ['*', '!j/k'] }).visited).toBe(5);
    expect(walk({ include: ['*.md'] }).visited).toBe(TREE.length);
  });

  it('refuses patterns that are none', () => {
    expect(() => new PathFilter({ include: ['['] })).toThrow(
      'invalid includepatterns: [[]: syntax error in pattern',
    );
    expect(() => new PathFilter({ exclude: ['!'] })).toThrow(
      'invalid excludepatterns: [!]: illegal exclusion',
    );
  });
});

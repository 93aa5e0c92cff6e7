import { describe, expect, it } from 'vitest';
import { itemFilter } from '#worker/buildkit/filter/item-filter.ts';

interface Item {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const items: readonly Item[] = [
  { name: 'alpha', labels: { 'very complex label': 'something', zone: 'a' } },
  { name: 'beta.2', labels: { zone: 'b' } },
  { name: 'mount /root/.cache' },
  {},
];

function read(item: Item, [first, ...rest]: readonly string[]): string | undefined {
  return first === 'name' ? item.name : first === 'labels' ? item.labels?.[rest.join('.')] : undefined;
}

function found(...filters: string[]): (string | undefined)[] {
  return items.filter(itemFilter(filters, read)).map(({ name }) => name);
}

describe('filters of what there is', () => {
  it.each<[filters: string[], names: (string | undefined)[]]>([
    [[], ['alpha', 'beta.2', 'mount /root/.cache', undefined]],
    [[''], ['alpha', 'beta.2', 'mount /root/.cache', undefined]],
    [['name'], ['alpha', 'beta.2', 'mount /root/.cache']],
    [['name==alpha'], ['alpha']],
    [['name!=alpha'], ['beta.2', 'mount /root/.cache', undefined]],
    [['name==beta.2'], ['beta.2']],
    [['name=="mount /root/.cache"'], ['mount /root/.cache']],
    [['name=="\\x61lph\\u0061"'], ['alpha']],
    [['name=="\\141lpha"'], ['alpha']],
    [['labels.zone'], ['alpha', 'beta.2']],
    [['labels."very complex label"==something'], ['alpha']],
    [['labels.zone==a,name==alpha'], ['alpha']],
    [['labels.zone==a,name==beta.2'], []],
    [
      ['labels.zone==a', 'labels.zone==b'],
      ['alpha', 'beta.2'],
    ],
    [['name~=^(alpha|beta)'], ['alpha', 'beta.2']],
    [['name~=/[0-9]$/'], ['beta.2']],
    [['name~=|/root/|'], ['mount /root/.cache']],
    [['name~=^$'], [undefined]],
    [['name ~= "l.h"'], ['alpha']],
    // No regular expression: nothing matches it.
    [['name~=a('], []],
    [['other==x'], []],
    [['other!=x'], ['alpha', 'beta.2', 'mount /root/.cache', undefined]],
  ])('%j', (filters, names) => {
    expect(found(...filters)).toEqual(names);
  });

  it.each([
    ['name=alpha', 'filters: parse error: [name >|=|< alpha]: unsupported operator "=": invalid argument'],
    ['name==', 'filters: unexpected EOF: invalid argument'],
    ['name==alpha,', 'filters: parse error: [name==alpha,]: expected field or quoted: invalid argument'],
    ['==alpha', 'filters: parse error: [ >|=|< =alpha]: expected field or quoted: invalid argument'],
    [
      'name==/alpha/',
      'filters: parse error: [name== >|/|< alpha/]: invalid quote encountered: invalid argument',
    ],
    [
      'name=="alpha',
      'filters: parse error: [name== >|"|< alpha]: quoted literal not terminated: invalid argument',
    ],
    ['name=="\\q"', 'filters: parse error: [name== >|"|< \\q"]: illegal escape sequence: invalid argument'],
    [
      'name==alpha beta',
      'filters: parse error: [name==alpha  >|b|< eta]: unexpected input: beta: invalid argument',
    ],
  ])('refuses %s', (filter, message) => {
    expect(() => itemFilter([filter], read)).toThrow(message);
  });

  it('takes no longer for expressions that others never come to an end with', () => {
    const matches = itemFilter(['name~=^(a+)+$'], read);
    expect(matches({ name: `${'a'.repeat(5000)}!` })).toBe(false);
    expect(matches({ name: 'a'.repeat(5000) })).toBe(true);
  });
});

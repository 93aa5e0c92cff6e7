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

  it.each<[what: string, filters: string[]]>([
    ['many filters', Array(101).fill('name')],
    ['long filters', Array(20).fill(`name==${'x'.repeat(600)}`)],
    ['a long expression', [`name~=${'x'.repeat(1001)}`]],
    ['repetitions beside each other', [`name~=${'x{1000}'.repeat(100)}`]],
    ['repetitions in each other', ['name~=((x{9}){9}){9}']],
    ['repetitions in many expressions', Array(20).fill('name~=x{90}')],
    ['alternatives in many expressions', Array(10).fill(`name~=${'(a|b)*'.repeat(40)}`)],
  ])('refuses what takes long to look for: %s', (_, filters) => {
    expect(() => itemFilter(filters, read)).toThrow(
      /at most \d+ (?:filters|characters)|too large, or repeat too much/,
    );
  });

  it('has expressions that repeat what names and times have', () => {
    const filters = ['name~=^[0-9a-f]{64}$', 'name~="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$"'];
    const matches = itemFilter(filters, read);
    expect(['a'.repeat(64), '2026-01-02T03:04', 'alpha'].map((name) => matches({ name }))).toEqual([
      true,
      true,
      false,
    ]);
  });
});

import { describe, expect, it } from 'vitest';
import type { SourceOp } from '#worker/build/llb/op.ts';
import { applyPolicies } from '#worker/build/policy/apply-policies.ts';
import { normalSource } from '#worker/build/policy/normal-source.ts';
import type { PolicyRule, SourceSelector } from '#worker/build/policy/source-policy.ts';

const source = (identifier: string, attrs: Record<string, string> = {}): SourceOp => ({
  kind: 'source',
  identifier,
  attrs,
});
const selector = (identifier: string, type: SourceSelector['type'] = 'wildcard'): SourceSelector => ({
  identifier,
  type,
  constraints: [],
});
const rule = (action: PolicyRule['action'], on: SourceSelector, to?: string, attrs = {}): PolicyRule => ({
  action,
  selector: on,
  ...(to !== undefined && { update: { identifier: to, attrs } }),
});
const apply = (rules: readonly PolicyRule[], identifier: string, attrs = {}) =>
  applyPolicies([{ rules }], source(identifier, attrs));

describe('policies', () => {
  const golang = 'docker-image://docker.io/library/golang:1.19';

  it('deny what the last rule that matches denies', () => {
    const [deny, allow] = [rule('deny', selector('*')), rule('allow', selector('docker-image://*'))];
    expect(apply([deny, allow], golang).identifier).toBe(golang);
    expect(() => apply([allow, deny], golang)).toThrow(
      `source "${golang}" denied by policy: source denied by policy`,
    );
    expect(() => apply([deny, allow], 'https://example.com/a')).toThrow('denied by policy');
  });

  it.each([
    ['wildcard', 'docker-image://docker.io/library/golang:*', 'docker-image://mirror/golang:$1-alpine'],
    [
      'regex',
      '^docker-image://docker.io/library/(?P<name>.*):(.*)$',
      'docker-image://mirror/$name:$2-alpine',
    ],
    ['exact', golang, 'docker-image://mirror/golang:1.19-alpine'],
  ] as const)('replace what a %s matches', (type, pattern, to) => {
    const { identifier } = apply([rule('convert', selector(pattern, type), to)], golang);
    expect(identifier).toBe('docker-image://mirror/golang:1.19-alpine');
  });

  it('read all rules anew for what a source was replaced with', () => {
    const moved = 'docker-image://docker.io/library/other:1';
    const convert = rule('convert', selector(golang), moved);
    expect(() => apply([convert, rule('deny', selector(moved))], golang)).toThrow('denied');
    expect(apply([rule('deny', selector(golang)), convert], golang).identifier).toBe(moved);
    const back = rule('convert', selector(moved), golang);
    expect(() => apply([convert, back], golang)).toThrow('too many operations');
  });

  it('set attributes, and look at them', () => {
    const url = 'https://example.com/a';
    const checksum = { 'http.checksum': `sha256:${'1'.repeat(64)}` };
    const pin = rule('convert', selector(url), '', checksum);
    expect(apply([pin], url)).toEqual(source(url, checksum));
    const condition = (how: SourceSelector['constraints'][number]['condition'], value: string) =>
      rule('deny', { ...selector(url), constraints: [{ key: 'a', value, condition: how }] });
    expect(() => apply([condition('equal', 'x')], url, { a: 'x' })).toThrow('denied');
    expect(apply([condition('equal', 'y')], url, { a: 'x' }).identifier).toBe(url);
    expect(() => apply([condition('not-equal', 'y')], url, { a: 'x' })).toThrow('denied');
    expect(() => apply([condition('matches', '^[w-y]$')], url, { a: 'x' })).toThrow('denied');
  });

  it('refuse rules that make no sense, and take no time for hostile expressions', () => {
    expect(() => apply([rule('convert', selector(golang))], golang)).toThrow('missing destination');
    expect(() => apply([rule(9000, selector(golang))], golang)).toThrow('unknown type');
    expect(() => apply([rule('deny', selector('(', 'regex'))], golang)).toThrow('invalid regex');
    expect(() => apply([rule('deny', selector('a**'))], golang)).toThrow('invalid wildcard');
    const long = `docker-image://${'a'.repeat(5000)}!`;
    expect(apply([rule('deny', selector('(a|a|aa)+$', 'regex'))], long).identifier).toBe(long);
    expect(apply([rule('deny', selector('*a*a*a*a*a*a*a*a*b'))], long).identifier).toBe(long);
  });

  it('know sources by one name', () => {
    const name = (text: string) => normalSource(source(text)).identifier;
    expect(name('docker-image://busybox')).toBe('docker-image://docker.io/library/busybox:latest');
    expect(name('git://host/a.git#main:../b//c')).toBe('git://host/a.git#main:b/c');
    expect(name('git://host/a.git#:/')).toBe('git://host/a.git');
    expect(name('https://host/a')).toBe('https://host/a');
  });
});

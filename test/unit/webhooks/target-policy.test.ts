import { expect, it } from 'vitest';
import { TargetPolicy } from '#webhooks/target-policy.ts';

const resolve = (policy: TargetPolicy, name: string, all: boolean) =>
  new Promise((done) => policy.lookup(name, { all }, (error, address) => done(error?.message ?? address)));

it('refuses a name whose addresses are out of bounds', async () => {
  const policy = new TargetPolicy({ allowed: [], setting: 'x' });
  for (const all of [true, false]) {
    expect(await resolve(policy, 'localhost', all)).toMatch('localhost is not on the internet');
  }
});

it('connects to those addresses of a name that are allowed', async () => {
  const policy = new TargetPolicy({ allowed: ['127.0.0.0/8'], setting: 'x' });
  expect(await resolve(policy, 'localhost', true)).toEqual([{ address: '127.0.0.1', family: 4 }]);
  expect(await resolve(policy, 'localhost', false)).toBe('127.0.0.1');
});

it.each(['http://8.8.8.8/', 'https://[2a00:1450::1]:8443/x?y', 'http://example.com'])('permits %s', (url) => {
  expect(new TargetPolicy({ allowed: [], setting: 'x' }).check(url).href).toMatch(/^https?:/);
});

it.each(['10.0.0.0/33', 'example.com', '10.0.0.0/x', '/8'])('refuses the network %s', (network) => {
  expect(() => new TargetPolicy({ allowed: [network], setting: 'x' })).toThrow('is no network');
});

import { expect, it } from 'vitest';
import { TrustedProxies } from '#registry/http/trusted-proxies.ts';

const proxies = new TrustedProxies(['10.0.0.0/24', 'fd00::/64']);

it.each([
  ['10.0.0.7', true],
  ['10.0.1.7', false],
  ['fd00::1', true],
  ['fd01::1', false],
  ['', false],
  ['nonsense', false],
])('%s is a proxy: %s', (address, expected) => {
  expect(proxies.includes(address)).toBe(expected);
  expect(new TrustedProxies([]).includes(address)).toBe(false);
});

it.each([
  ['a stranger is who it is', '9.9.9.9', '1.2.3.4', '9.9.9.9'],
  ['a proxy speaks for its client', '10.0.0.1', '1.2.3.4', '1.2.3.4'],
  ['what the client wrote itself does not count', '10.0.0.1', '6.6.6.6, 1.2.3.4', '1.2.3.4'],
  ['proxies follow each other', '10.0.0.1', '6.6.6.6, 1.2.3.4, 10.0.0.9, fd00::2', '1.2.3.4'],
  ['IPv4 within IPv6 is IPv4', '10.0.0.1', '::ffff:1.2.3.4', '1.2.3.4'],
  ['a proxy that says nothing asks for itself', '10.0.0.1', '', '10.0.0.1'],
  ['nonsense is not an address', '10.0.0.1', '1.2.3.4, <script>', '10.0.0.1'],
])('%s', (_, peer, header, client) => {
  expect(proxies.clientOf(peer, header)).toBe(client);
});

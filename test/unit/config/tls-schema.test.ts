import { describe, expect, it } from 'vitest';
import { loadConfig } from '#config/load.ts';
import { listenRefusal } from '#config/tls-schema.ts';

const refusal = (listen: string, more: { tls?: boolean; proxies?: string[]; mode?: string } = {}) =>
  listenRefusal({
    listen,
    tls: { certificate: more.tls ? '/cert.pem' : null },
    trustedProxies: more.proxies ?? [],
    auth: { mode: more.mode ?? 'none' },
  });

describe('a registry', () => {
  it.each(['127.0.0.1:5000', 'localhost:1', '[::1]:5000'])('may listen on %s as it is', (listen) => {
    expect(refusal(listen)).toBeUndefined();
  });

  it.each(['0.0.0.0:5000', '[::]:5000', '10.0.0.1:5000', 'example.com:5000'])(
    'may listen on %s with TLS and authentication only',
    (listen) => {
      expect(refusal(listen)).toMatch(/beyond loopback is refused without TLS .* and authentication/);
      expect(refusal(listen, { tls: true })).toMatch(/refused without authentication/);
      expect(refusal(listen, { proxies: ['10.0.0.0/8'] })).toMatch(/refused without authentication/);
      expect(refusal(listen, { mode: 'token' })).toMatch(/refused without TLS/);
      expect(refusal(listen, { mode: 'token', tls: true })).toBeUndefined();
      expect(refusal(listen, { mode: 'token', proxies: ['10.0.0.0/8'] })).toBeUndefined();
    },
  );
});

it.each([
  ['registry.tls.certificate=/cert.pem', /registry\.tls\.key: a certificate needs its key/],
  ['registry.tls.key=/key.pem', /registry\.tls\.certificate: a key needs/],
  ['registry.tls.clientCa=/ca.pem', /registry\.tls\.certificate: a CA for clients needs/],
  ['registry.tls.certificate=cert.pem', /expected an absolute path/],
  ['registry.trustedProxies=10.0.0.1', /expected a network/],
  ['registry.trustedProxies=0.0.0.0/0', /expected a prefix of at least 8 bits/],
])('%s is refused', (pair, message) => {
  expect(() => loadConfig({ environment: { HOME: '/' }, root: true, set: [pair] })).toThrow(message);
});

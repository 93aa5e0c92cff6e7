import { expect, it } from 'vitest';
import { buildkitSchema } from '#config/buildkit-schema.ts';

const none = { certificate: null, key: null, clientCa: null };
const all = { certificate: '/c.pem', key: '/k.pem', clientCa: '/ca.pem' };
const messages = (listen: string[], tls: Record<string, string | null> = none) =>
  buildkitSchema.safeParse({ listen, tls, keepAlive: '30s' }).error?.issues.map(({ message }) => message) ??
  [];

it('listens on sockets and on loopback', () => {
  expect(messages([])).toEqual([]);
  expect(messages(['unix:///run/bk.sock', 'tcp://127.0.0.1:1234', 'tcp://[::1]:1234'])).toEqual([]);
});

it('listens beyond loopback for clients that show a certificate', () => {
  expect(messages(['tcp://0.0.0.0:1234'])).toEqual([
    expect.stringContaining('refused without certificates of clients'),
  ]);
  expect(messages(['tcp://0.0.0.0:1234'], all)).toEqual([]);
});

it('wants all of tls or nothing', () => {
  expect(messages([], { ...all, clientCa: null })).toEqual(['expected certificate, key and clientCa']);
  expect(messages(['127.0.0.1:1234'])).toEqual([
    expect.stringContaining('expected unix:///path or tcp://host:port'),
  ]);
});

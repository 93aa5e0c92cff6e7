import { expect, test } from 'vitest';
import { writeTar } from '#tar/writer.ts';
import { readPortSpec } from '#worker/build/frontend/compile/expose.ts';
import { goDuration } from '#worker/build/frontend/compile/go-duration.ts';
import { Environment } from '#worker/build/frontend/graph/environment.ts';
import { readOwner } from '#worker/build/frontend/graph/file-draft.ts';
import { looksLikeArchive } from '#worker/build/frontend/inputs/archive-magic.ts';
import { directoryAwarePath } from '#worker/build/frontend/paths.ts';
import { platformId, readPlatform } from '#worker/build/frontend/platforms.ts';

test.each([
  [0, '0s'],
  [1, '1ns'],
  [1500, '1.5µs'],
  [2_000_000, '2ms'],
  [1_500_000_000, '1.5s'],
  [90_000_000_000, '1m30s'],
  [3_600_000_000_000, '1h0m0s'],
  [5_430_000_000_001, '1h30m30.000000001s'],
])('%d nanoseconds are %s', (nanoseconds, text) => {
  expect(goDuration(nanoseconds)).toBe(text);
});

test.each([
  ['80', ['80/tcp']],
  ['53/UDP', ['53/udp']],
  ['8000-8002', ['8000/tcp', '8001/tcp', '8002/tcp']],
  ['127.0.0.1:81:80/sctp', ['80/sctp']],
  ['[::1]:81:80', ['80/tcp']],
  ['9000-9001:80', ['80/tcp']],
])('%s exposes %j', (text, ports) => {
  expect(readPortSpec(text).ports).toEqual(ports);
});

test.each(['', '/tcp', '80/icmp', '65536', '2-1', 'x', 'nowhere:1:2', '1-3:1-2'])('%j is no port', (text) => {
  expect(() => readPortSpec(text)).toThrow();
});

test.each([
  ['/w', 'a', '/w/a'],
  ['/w', '.', '/w/'],
  ['/w', '', '/w/'],
  ['/', '.', '/'],
  ['/w', 'a/', '/w/a/'],
  ['/w', 'a/.', '/w/a/.'],
  ['/w', '../b', '/b'],
  ['/w', '/x//y/../z', '/x/z'],
  ['/w', '../../../..', '/'],
])('below %s, %j is %s', (parent, path, expected) => {
  expect(directoryAwarePath(parent, path)).toBe(expected);
});

test.each([
  ['5', { user: 5 }],
  ['me', { user: 'me' }],
  ['root:us', { user: 0, group: 'us' }],
  [':7', { user: 0, group: 7 }],
  ['me:', { user: 'me', group: 0 }],
  ['4294967295', { user: '4294967295' }],
])('--chown=%s', (text, owner) => {
  expect(readOwner(text)).toEqual(owner);
});

test.each([
  ['linux/arm', 'linux/arm/v7'],
  ['arm64', 'linux/arm64'],
  ['linux/arm64/v8', 'linux/arm64'],
  ['linux/x86_64', 'linux/amd64'],
  ['linux/amd64/v1', 'linux/amd64'],
  ['linux/arm/6', 'linux/arm/v6'],
])('%s is %s', (text, id) => {
  expect(platformId(readPlatform(text))).toBe(id);
});

test('variables are in the order that they were last set in, and not without end', () => {
  const environment = new Environment();
  for (const [name, value] of [
    ['a', '1'],
    ['b', '2'],
    ['a', '3'],
  ] as const)
    environment.set(name, value);
  expect(environment.toArray()).toEqual(['b=2', 'a=3']);
  const copy = new Environment(environment);
  copy.delete('b');
  expect([environment.get('b'), copy.get('b')]).toEqual(['2', undefined]);
  expect(() => {
    for (let at = 0; at < 10_000; at++) environment.set(`v${at}`, '');
  }).toThrow('more than 5000 variables are set');
});

test('archives are known by how they begin', async () => {
  const entry = { path: 'a', type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 0 } as const;
  const tar = Buffer.concat(await Array.fromAsync(writeTar([{ entry }])));
  expect(looksLikeArchive(tar)).toBe(true);
  expect(looksLikeArchive(new Uint8Array([0x28, 0xb5, 0x2f, 0xfd]))).toBe(true);
  expect(looksLikeArchive(Buffer.from('FROM busybox\n'))).toBe(false);
  expect(looksLikeArchive(new Uint8Array(512))).toBe(false);
  tar[0] = 0x62;
  expect(looksLikeArchive(tar)).toBe(false);
});

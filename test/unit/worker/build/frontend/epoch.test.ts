import { gzipSync } from 'node:zlib';
import { describe, expect, it, test } from 'vitest';
import { type TarInput, writeTar } from '#tar/writer.ts';
import { build, type FakeBuild } from './fake-bridge.ts';

const NAME = 'build-arg:SOURCE_DATE_EPOCH';
const URL = 'https://example.com/app.tar.gz';
const STAGE = `FROM scratch AS source\nARG FROM=https://example.com\nADD $FROM/app.tar.gz /\nFROM busybox\nRUN x\n`;
const options = { [NAME]: 'source' };

async function epochOf(fake: FakeBuild): Promise<string | undefined> {
  const value = (await build(fake)).metadata.get('source.date.epoch');
  return value && Buffer.from(value).toString();
}

const file = (path: string, mtime: number): TarInput => ({
  entry: { path, type: 'file', mode: 0o644, uid: 0, gid: 0, mtime, size: 1 },
  body: [Buffer.from('x')],
});

describe('SOURCE_DATE_EPOCH by the name of', () => {
  it('a stage that is one download: when that was last changed', async () => {
    expect(await epochOf({ dockerfile: STAGE, options, times: { [URL]: 1_600_000_000 } })).toBe('1600000000');
    const source = { [NAME]: 'SOURCE', 'build-arg:FROM': 'https://mirror' };
    const times = { 'https://mirror/app.tar.gz': 1_500_000_000 };
    expect(await epochOf({ dockerfile: STAGE, options: source, times })).toBe('1500000000');
  });

  it('an archive that nobody says the time of: that of its youngest file', async () => {
    const tar = Buffer.concat(
      await Array.fromAsync(writeTar([file('a', 1_000), file('b', 3_000), file('c', 2_000)])),
    );
    const files = { 'dockerfile/Dockerfile': STAGE, [`${URL}/app.tar.gz`]: gzipSync(tar) };
    expect(await epochOf({ options, files })).toBe('3000');
    const none = { 'dockerfile/Dockerfile': STAGE, [`${URL}/app.tar.gz`]: 'no archive' };
    expect(await epochOf({ options, files: none })).toBeUndefined();
  });

  it('a stage that is a repository: that of its commit', async () => {
    const dockerfile = 'FROM scratch AS source\nADD https://example.com/repo.git#v1 /\nFROM busybox\n';
    const times = { 'git://example.com/repo.git#v1': 1_400_000_000 };
    expect(await epochOf({ dockerfile, options, times })).toBe('1400000000');
  });

  it('a named context', async () => {
    const named = { [NAME]: 'code', 'context:code': 'https://example.com/repo.git' };
    const times = { 'git://example.com/repo.git': 1_300_000_000 };
    expect(await epochOf({ dockerfile: 'FROM busybox\n', options: named, times })).toBe('1300000000');
    const image = { [NAME]: 'code', 'context:code': 'docker-image://busybox' };
    expect(await epochOf({ dockerfile: 'FROM busybox\n', options: image })).toBeUndefined();
  });
});

test.each([
  ['FROM busybox AS source\nADD https://x/y /\n', 'stage must use FROM scratch'],
  ['FROM scratch AS source\nCOPY a /\n', 'requirements: unsupported COPY instruction'],
  ['FROM scratch AS source\n', 'must contain exactly one remote ADD'],
  ['FROM scratch AS source\nADD https://x/y /\nADD https://x/z /\n', 'must contain exactly one remote ADD'],
  ['FROM scratch AS source\nADD https://x/y https://x/z /\n', 'exactly one remote ADD source'],
  ['FROM scratch AS source\nADD a /\n', 'source must be a single HTTP(S) or Git ADD'],
  ['FROM busybox AS other\n', 'invalid SOURCE_DATE_EPOCH: source'],
])('%j has none', async (dockerfile, message) => {
  await expect(build({ dockerfile: `${dockerfile}FROM busybox\n`, options })).rejects.toThrow(message);
});

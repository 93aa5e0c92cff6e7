import dns from 'node:dns';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ContentStore } from '#content/content-store.ts';
import type { S3Settings } from '#content/s3-settings.ts';
import { S3Proxy } from './s3-proxy.ts';
import { S3_DOMAIN } from './s3-server.ts';
import { s3Content, sharedS3 } from './shared-s3.ts';

// What an operator may say of a store: how its bucket is addressed, how its objects are encrypted.

const MIB = 2 ** 20;
const sizes = { 'one request': 1000, 'several parts': 11 * MIB };

afterEach(() => vi.restoreAllMocks());

async function write(store: ContentStore, location: string, bytes: Uint8Array): Promise<void> {
  await using writer = await store.writer(location);
  await writer.write(Buffer.from(bytes));
  await writer.commit();
}

async function read(store: ContentStore, location: string, range?: { start: number; end: number }) {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await store.open(location, range)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Has the bucket's name resolve to this machine, as an operator's DNS would; tells what was looked up. */
function resolveBucket(name: string): string[] {
  const asked: string[] = [];
  const lookup = dns.lookup;
  const answer = (host: string, ...rest: unknown[]) => {
    asked.push(host);
    return Reflect.apply(lookup, dns, [host === name ? '127.0.0.1' : host, ...rest]);
  };
  vi.spyOn(dns, 'lookup').mockImplementation(answer as typeof dns.lookup);
  return asked;
}

describe('a bucket that is addressed by its host name', () => {
  it.each(Object.entries(sizes))('has what is written in %s, and links to it', async (_, size) => {
    const { endpoint, bucket } = await sharedS3();
    const { port } = new URL(endpoint);
    const host = `${bucket}.${S3_DOMAIN}`;
    const asked = resolveBucket(host);
    await using store = await s3Content({ endpoint: `http://${S3_DOMAIN}:${port}`, pathStyle: false });
    const bytes = Buffer.alloc(size, 'by host name ');
    await write(store, 'a/1', bytes);
    expect((await store.stat('a/1'))?.size).toBe(size);
    expect((await read(store, 'a/1')).equals(bytes)).toBe(true);
    expect((await read(store, 'a/1', { start: 3, end: 6 })).toString()).toBe('host');
    const link = new URL((await store.link('a/1'))!);
    expect(link.host).toBe(`${host}:${port}`);
    expect((await (await fetch(link)).arrayBuffer()).byteLength).toBe(size);
    await store.delete('a/1');
    expect(await store.stat('a/1')).toBeUndefined();
    expect([...new Set(asked)]).toEqual([host]);
  });
});

describe('encryption', () => {
  const kms = {
    'x-amz-server-side-encryption': 'aws:kms',
    'x-amz-server-side-encryption-bucket-key-enabled': 'true',
  };
  const key = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd';

  it.each<[string, S3Settings['encryption'], Record<string, string>]>([
    ['none', undefined, {}],
    ['AES256', { algorithm: 'AES256' }, { 'x-amz-server-side-encryption': 'AES256' }],
    ["KMS with the account's key", { algorithm: 'aws:kms', key: undefined }, kms],
    [
      'KMS with a key of its own',
      { algorithm: 'aws:kms', key },
      { ...kms, 'x-amz-server-side-encryption-aws-kms-key-id': key },
    ],
  ])('%s is asked of S3 for every object, however it comes to be', async (_, encryption, expected) => {
    await using proxy = await S3Proxy.start((await sharedS3()).endpoint);
    await using store = await s3Content({ endpoint: proxy.endpoint, encryption, attempts: 1 });
    // Not every server of the tests can encrypt: what is looked at is what they are told.
    proxy.breakBy((operation) =>
      encryption && /^(PutObject|CreateMultipartUpload)$/.test(operation)
        ? { kind: 'status', status: 501, code: 'NotImplemented' }
        : undefined,
    );
    for (const [index, size] of Object.values(sizes).entries()) {
      const written = write(store, `e/${index}`, Buffer.alloc(size, 'e'));
      if (encryption) await expect(written).rejects.toMatchObject({ kind: 'unavailable' });
      else await written;
    }
    for (const operation of ['PutObject', 'CreateMultipartUpload']) {
      const [request] = proxy.requests.filter((it) => it.operation === operation);
      const told = Object.entries(request!.headers).filter(([name]) => /encryption/.test(name));
      expect(Object.fromEntries(told), operation).toEqual(expected);
    }
  });
});

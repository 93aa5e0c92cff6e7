import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Digest, digestOf, hexOf } from '#oci/digest.ts';
import { hostPlatform } from '#oci/platform.ts';
import type { TarEntry } from '#tar/entry.ts';
import { writeTar } from '#tar/writer.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';
import { sourcesWorld } from './sources-world.ts';

const on = sourcesWorld();
const { source, names } = on;

describe('a client’s directory', () => {
  it('is asked for as the op says, and kept until the build has ended', async () => {
    const root = await on.world.folder('client');
    on.world.session.directories.set('context', { root, id: 'v1' });
    const ref = await source('local://context', {
      'local.includepattern': '["a","b"]',
      'local.excludepatterns': '["c"]',
      'local.followpaths': '["d"]',
      'local.sharedkeyhint': 'hint',
    });
    expect(ref).toEqual({ kind: 'directory', root, id: 'v1', bare: true, passing: false });
    expect(on.world.session.requests.at(-1)).toMatchObject({
      name: 'context',
      includePatterns: ['a', 'b'],
      excludePatterns: ['c'],
      followPaths: ['d'],
      sharedKeyHint: 'hint',
    });
    expect(on.world.session.held).toBe(1);
    await on.world.end();
    expect(on.world.session.held).toBe(0);
    await expect(source('local://context', { 'local.followpaths': 'x' })).rejects.toMatchObject({
      kind: 'invalid',
    });
    await expect(source('ftp://x')).rejects.toMatchObject({ kind: 'unsupported' });
  });
});

describe('an image', () => {
  const blobs = new Map<string, Uint8Array>();
  const asked: string[] = [];
  /** By name, for which methods no length is said. */
  const sizeless = new Map<string, readonly string[]>();
  const server = createServer((request, response) => {
    asked.push(request.url!);
    const name = request.url!.split('/').at(-1)!;
    const bytes = blobs.get(name);
    const chunked = sizeless.get(name);
    if (chunked?.includes(request.method!)) return void response.writeHead(200).end(bytes);
    if (!bytes) return void response.writeHead(404).end('{}');
    const type = request.url!.includes('/manifests/')
      ? 'application/vnd.oci.image.manifest.v1+json'
      : 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, 'content-length': bytes.length }).end(bytes);
  });
  let registry: string;
  let manifest: Digest;
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    registry = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    manifest = image('latest', [await layer('bottom', '1'), await layer('top', '2')]);
  });
  afterAll(() => server.close());

  function image(tag: string, layers: readonly { diffId: Digest; blob: Uint8Array }[]): Digest {
    const { os, architecture } = hostPlatform();
    const config = Buffer.from(
      JSON.stringify({
        os,
        architecture,
        rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      }),
    );
    blobs.set(digestOf(config), config);
    const document = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: {
          mediaType: 'application/vnd.oci.image.config.v1+json',
          digest: digestOf(config),
          size: config.length,
        },
        layers: layers.map(({ blob }) => ({
          mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
          digest: digestOf(blob),
          size: blob.length,
        })),
      }),
    );
    const digest = digestOf(document);
    blobs.set(tag, document).set(digest, document);
    return digest;
  }

  async function layer(name: string, content: string) {
    const entry: TarEntry = {
      path: name,
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: 0,
      size: content.length,
    };
    const chunks: Uint8Array[] = [];
    for await (const chunk of writeTar([{ entry, body: [Buffer.from(content)] }])) chunks.push(chunk);
    const tar = Buffer.concat(chunks);
    const blob = gzipSync(tar);
    blobs.set(digestOf(blob), blob);
    return { diffId: digestOf(tar), blob };
  }

  it('is known without its layers, which come when somebody looks', async () => {
    const options = { platform: hostPlatform(), mode: 'default', ...on.world.context } as const;
    const resolved = await on.world.drivers.images.resolve(`${registry}/lazy`, options);
    expect(resolved).toMatchObject({ reference: `${registry}/lazy:latest@${manifest}`, digest: manifest });
    const ref = (await source(`docker-image://${registry}/lazy:latest@${manifest}`)) as LayersRef;
    expect(ref.layers.map(({ remote }) => remote?.descriptor.size)).toHaveLength(2);
    expect(asked.filter((path) => path.includes('/blobs/'))).toHaveLength(1);
    expect(asked.filter((path) => path.includes('/manifests/'))).toHaveLength(1);
    const before = on.world.reused;
    const [merged] = (await on.world.run({ kind: 'merge' }, [await on.world.busybox(), ref])) as LayersRef[];
    expect(asked.filter((path) => path.includes('/blobs/'))).toHaveLength(1);
    expect(await on.world.ask(merged!, 'cat /bottom /top')).toBe('12');
    expect(asked.filter((path) => path.includes('/blobs/'))).toHaveLength(3);
    expect(await names(ref)).toEqual(['bottom', 'top']);
    await source(`docker-image://${registry}/lazy:latest@${manifest}`);
    expect(on.world.reused).toBeGreaterThan(before);
    // Its layers were on another stack first, and were not brought again.
    expect(asked.filter((path) => path.includes('/blobs/'))).toHaveLength(3);
  });

  it('has blobs, each of which can be had as a file', async () => {
    const bytes = Buffer.from('the bytes of a blob');
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    const name = `docker-image+blob://${registry}/lazy@${digest}`;
    const attrs = { 'http.filename': 'blob.txt', 'http.perm': '0640', 'http.uid': '12', 'http.gid': '34' };
    const ref = await source(name, attrs);
    expect(await names(ref)).toEqual(['blob.txt']);
    const stats = await on.world.see(ref, (root) => stat(join(root, 'blob.txt')));
    expect({ ...stats, mode: stats.mode & 0o7777 }).toMatchObject({
      mode: 0o640,
      uid: 12,
      gid: 34,
      mtimeMs: 0,
    });
    expect(await on.world.see(ref, (root) => readFile(join(root, 'blob.txt'), 'utf8'))).toBe(String(bytes));
    expect(await names(await source(name))).toEqual([hexOf(digest)]);
    expect(await names(await source(name, { 'http.filename': '../../x' }))).not.toContain('x');
  });

  it('has no blobs but those that it has, and those that are what they are called', async () => {
    const wrong = digestOf('something else');
    blobs.set(wrong, Buffer.from('other bytes'));
    const name = `docker-image+blob://${registry}/lazy`;
    await expect(source(`${name}@${wrong}`)).rejects.toThrow(/digest mismatch/);
    await expect(source(`${name}@${digestOf('nowhere')}`)).rejects.toThrow(/not found/);
    await expect(source(`${name}:latest`)).rejects.toThrow(/invalid reference digest/);
    await expect(source(`oci-layout+blob://a@${wrong}`)).rejects.toThrow(/requires store id/);
    await expect(source(`${name}@sha512:${'0'.repeat(128)}`)).rejects.toThrow(/by sha256 only/);
  });

  it('has blobs of which its registry says only late, or never, how large they are', async () => {
    const [late, never] = ['known late', 'never known'].map((text) => {
      const bytes = Buffer.from(text);
      blobs.set(digestOf(bytes), bytes);
      return digestOf(bytes);
    });
    sizeless.set(late!, ['HEAD']).set(never!, ['HEAD', 'GET']);
    const name = `docker-image+blob://${registry}/lazy`;
    expect(await names(await source(`${name}@${late}`))).toEqual([hexOf(late!)]);
    await expect(source(`${name}@${never}`)).rejects.toThrow(/does not say how large the blob sha256:/);
  });

  it.each([
    ['is cut off', (good: Buffer) => good.subarray(0, good.length / 2)],
    ['is no archive', () => gzipSync(Buffer.alloc(100_000, 'x'))],
    ['holds more than a layer does', (good: Buffer) => Buffer.concat([good, Buffer.from('more')])],
    ['is that of another image', () => gzipSync(Buffer.alloc(10_240))],
  ])(
    'leaves nothing when a layer %s, and does not keep others from what is good of it',
    async (what, broken) => {
      const name = what.replaceAll(' ', '-');
      const bottom = await layer(`bottom-${name}`, '1');
      const top = await layer(`top-${name}`, '2');
      // Its digest is that of its bytes; what it says of what is in it is a lie.
      const bytes = broken(top.blob);
      blobs.set(digestOf(bytes), bytes);
      image(`bad-${name}`, [bottom, { diffId: top.diffId, blob: bytes }]);
      const bad = await source(`docker-image://${registry}/lazy:bad-${name}`);
      for (let times = 0; times < 2; times++) {
        await expect(on.world.ask(bad, 'true')).rejects.toMatchObject({ name: 'SlipwayError' });
        expect(await on.world.leftovers()).toEqual([]);
      }
      image(`good-${name}`, [bottom, top]);
      const good = await source(`docker-image://${registry}/lazy:good-${name}`);
      expect(await names(good)).toEqual([`bottom-${name}`, `top-${name}`]);
    },
  );

  it('is looked for here first, unless it is to be pulled', async () => {
    const options = { platform: hostPlatform(), ...on.world.context };
    const local = await on.world.drivers.images.resolve('busybox', { ...options, mode: 'default' });
    expect(local.digest).toMatch(/^sha256:/);
    expect(
      await on.world.drivers.images.resolve(local.reference, { ...options, mode: 'local' }),
    ).toMatchObject({
      digest: local.digest,
    });
    await expect(
      on.world.drivers.images.resolve(`${registry}/none:gone`, { ...options, mode: 'pull' }),
    ).rejects.toMatchObject({
      kind: 'not-found',
    });
  });

  it('is of a client’s store, whatever that says', async () => {
    const store = new Map(blobs);
    on.world.session.stores.set('oci:mine', store);
    const attrs = { 'oci.store': 'mine', 'oci.session': on.world.session.id };
    const [bottom] = ((await source(`oci-layout://mine@${manifest}`, attrs)) as LayersRef).layers;
    expect(bottom!.remote!.descriptor.size).toBeGreaterThan(0);
    await expect(source('oci-layout://mine:tag', attrs)).rejects.toMatchObject({ kind: 'invalid' });
    const wrong = digestOf('something else');
    store.set(wrong, Buffer.from('{"schemaVersion":2}'));
    await expect(source(`oci-layout://mine@${wrong}`, attrs)).rejects.toMatchObject({ kind: 'invalid' });
  });
});

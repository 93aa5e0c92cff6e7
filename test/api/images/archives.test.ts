import { createReadStream } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, hexOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { busyboxArchive } from '#test/images/busybox-image.ts';
import { packed, unpacked } from '../../unit/tar/tar-bytes.ts';
import { ImagesEngine } from './images-engine.ts';

let engine: ImagesEngine;
beforeEach(async () => {
  engine = await ImagesEngine.start();
});
afterEach(() => engine[Symbol.asyncDispose]());

const layers = async () => [
  await packed([{ path: 'one', content: '1', mtimeNanoseconds: 5 }]),
  await packed([{ path: 'two', content: '2' }]),
];
const configOf = (tars: Buffer[]) =>
  Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      created: '2020-01-01T00:00:00Z',
      rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
    }),
  );
const load = (archive: Buffer, query = '') => engine.call('POST', `/images/load${query}`, { body: archive });
const images = async () => (await engine.call('GET', '/images/json?all=1')).json;

async function stored(): Promise<string[]> {
  const locations: string[] = [];
  for await (const { location } of engine.content.walk()) locations.push(location);
  for await (const { location } of engine.content.ingests()) locations.push(location);
  return locations;
}

describe('docker load', () => {
  it('takes an archive of today’s docker save', async () => {
    const reply = await engine.call('POST', '/images/load', {
      body: createReadStream(await busyboxArchive()) as never,
    });
    expect(reply.lines).toEqual([{ stream: 'Loaded image: busybox:latest\n' }]);
    expect(await images()).toMatchObject([{ RepoTags: ['busybox:latest'] }]);
  });

  it('takes an old one, whose repeated layers are links, compressed as a whole', async () => {
    const tars = await layers();
    const config = configOf([tars[0]!, tars[1]!, tars[0]!]);
    const archive = await packed([
      { path: 'aaa/layer.tar', content: tars[0]! },
      { path: 'bbb/layer.tar', content: tars[1]! },
      { path: 'ccc', type: 'directory' },
      { path: 'ccc/layer.tar', type: 'symlink', linkPath: '../aaa/layer.tar' },
      { path: `${hexOf(digestOf(config))}.json`, content: config },
      {
        path: 'manifest.json',
        content: JSON.stringify([
          {
            Config: `${hexOf(digestOf(config))}.json`,
            RepoTags: ['old:1', 'old:2'],
            Layers: ['aaa/layer.tar', 'bbb/layer.tar', 'ccc/layer.tar'],
          },
        ]),
      },
    ]);
    const reply = await load(gzipSync(archive), '?quiet=0');
    expect(reply.lines.filter((line) => line.status === 'Loading layer').length).toBeGreaterThan(0);
    expect(await images()).toMatchObject([{ Id: digestOf(config), RepoTags: ['old:1', 'old:2'], Size: 3 }]);
  });

  it('takes an OCI image layout with compressed layers, through an index', async () => {
    const tars = await layers();
    const config = configOf(tars);
    const files = new Map<string, Buffer>();
    const blob = (bytes: Buffer, mediaType: string) => {
      files.set(`blobs/sha256/${hexOf(digestOf(bytes))}`, bytes);
      return { mediaType, digest: digestOf(bytes), size: bytes.length };
    };
    const manifest = blob(
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MEDIA_TYPE.ociManifest,
          config: blob(config, MEDIA_TYPE.ociConfig),
          layers: tars.map((tar) => blob(gzipSync(tar), MEDIA_TYPE.ociLayerGzip)),
        }),
      ),
      MEDIA_TYPE.ociManifest,
    );
    const nested = blob(
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MEDIA_TYPE.ociIndex,
          manifests: [
            { ...manifest, digest: digestOf('absent'), platform: { os: 'linux', architecture: 's390x' } },
            {
              ...manifest,
              platform: { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' },
            },
          ],
        }),
      ),
      MEDIA_TYPE.ociIndex,
    );
    files.set(
      'index.json',
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          manifests: [{ ...nested, annotations: { 'org.opencontainers.image.ref.name': 'example.com/a:b' } }],
        }),
      ),
    );
    const reply = await load(await packed([...files].map(([path, content]) => ({ path, content }))));
    expect(reply.lines).toEqual([{ stream: 'Loaded image: example.com/a:b\n' }]);
    expect(await images()).toMatchObject([{ Id: digestOf(config), RepoTags: ['example.com/a:b'] }]);
  });

  it('says so when a name leaves the image that had it', async () => {
    const before = await engine.makeImage('busybox:latest', 'x');
    const reply = await engine.call('POST', '/images/load', {
      body: createReadStream(await busyboxArchive()) as never,
    });
    expect(reply.lines[0].stream).toBe(
      `The image busybox:latest already exists, renaming the old one with ID ${before} to empty string\n`,
    );
  });

  it('refuses a broken archive with a clear message and keeps nothing of it', async () => {
    const tars = await layers();
    const config = configOf(tars);
    const good = { path: 'config.json', content: config };
    const entry = (more: object) => ({
      path: 'manifest.json',
      content: JSON.stringify([{ Config: 'config.json', RepoTags: ['a:1'], Layers: ['1', '2'], ...more }]),
    });
    const files = tars.map((content, i) => ({ path: String(i + 1), content }));
    for (const [archive, message] of [
      [Buffer.from('this is no archive at all'), 'unexpected end'],
      [await packed([]), 'neither manifest.json nor index.json'],
      [await packed([{ path: 'manifest.json', content: '{' }]), 'not JSON'],
      [await packed([good, ...files, entry({ Layers: ['1'] })]), '1 layers, but the configuration names 2'],
      [await packed([good, ...files, entry({ Layers: ['1', 'missing'] })]), 'is missing'],
      [await packed([good, ...files, entry({ Layers: ['2', '1'] })]), 'diff ID'],
      [await packed([good, ...files, entry({ Config: '../../etc/passwd' })]), 'leads out'],
      [(await packed([good, ...files, entry({})])).subarray(0, 3000), 'unexpected end'],
    ] as const) {
      const reply = await load(archive);
      expect([reply.status, reply.json.message]).toEqual([400, expect.stringContaining(message)]);
    }
    expect(await images()).toEqual([]);
    await engine.images.pruner.prune(new Map());
    expect(await stored()).toEqual([]);
  });
});

describe('a load that a crash ended', () => {
  it('leaves nothing after the next start', async () => {
    await engine.loadBusybox();
    const before = await stored();
    for (const location of ['load/dead/0', 'load/dead/1']) {
      const writer = await engine.content.writer(location);
      await writer.write(Buffer.from('x'));
      await (location.endsWith('0') ? writer.commit() : writer.close());
    }
    engine = await engine.restart();
    expect(await stored()).toEqual(before);
  });
});

describe('docker save', () => {
  it('writes what docker load reads, with the same layers to the byte', async () => {
    await engine.loadBusybox();
    await engine.makeImage('mine:1', 'hello', 'busybox');
    await engine.call('POST', '/images/mine:1/tag?repo=mine&tag=2');
    const archive = (await engine.call('GET', '/images/get?names=mine&names=busybox:latest')).body;
    const files = new Map((await unpacked(archive)).map((file) => [file.entry.path, file.content]));
    for (const [path, content] of files) {
      if (/^blobs\/sha256\/./.test(path)) expect(hexOf(digestOf(content))).toBe(path.split('/')[2]);
    }
    expect(JSON.parse(String(files.get('manifest.json')))).toMatchObject([
      { RepoTags: ['mine:1', 'mine:2'] },
      { RepoTags: ['busybox:latest'] },
    ]);
    expect(JSON.parse(String(files.get('index.json'))).manifests).toHaveLength(3);
    const other = await ImagesEngine.start();
    try {
      await other.call('POST', '/images/load', { body: archive });
      const ids = async (from: ImagesEngine) =>
        (await from.call('GET', '/images/json')).json.map((image: { Id: string }) => image.Id).sort();
      expect(await ids(other)).toEqual(await ids(engine));
      expect((await other.call('GET', '/images/mine:2/json')).json.RootFS).toEqual(
        (await engine.call('GET', '/images/mine:1/json')).json.RootFS,
      );
    } finally {
      await other[Symbol.asyncDispose]();
    }
  });

  it('has no name for what was asked for by ID, and is an error for what is not there', async () => {
    const id = await engine.makeImage('mine:1', 'hello');
    const archive = (await engine.call('GET', `/images/${id.slice(7, 19)}/get`)).body;
    const manifest = (await unpacked(archive)).find(({ entry }) => entry.path === 'manifest.json');
    expect(JSON.parse(String(manifest?.content))).toMatchObject([{ RepoTags: null }]);
    const missing = await engine.call('GET', '/images/get?names=mine:1&names=none');
    expect([missing.status, missing.json.message]).toEqual([404, 'No such image: none']);
  });
});

describe('docker import', () => {
  it('makes an image of a root file system', async () => {
    const tar = gzipSync(
      await packed([
        { path: 'etc', type: 'directory', mode: 0o755 },
        { path: 'etc/hello', content: 'world' },
      ]),
    );
    const query = `?fromSrc=-&repo=imported&tag=1&message=note&changes=${encodeURIComponent('CMD ["a","b"]')}&changes=${encodeURIComponent('ENV X=y')}`;
    const reply = await engine.call('POST', `/images/create${query}`, { body: tar });
    const inspected = (await engine.call('GET', '/images/imported:1/json')).json;
    expect(reply.lines).toEqual([{ status: inspected.Id }]);
    expect(inspected).toMatchObject({ Comment: 'note', Size: 5, Config: { Cmd: ['a', 'b'], Env: ['X=y'] } });
    expect(await stored()).toEqual([]);
  });

  it('refuses what is no archive, and changes that are none', async () => {
    expect(
      await engine.call('POST', '/images/create?fromSrc=-', { body: Buffer.from('x'.repeat(2000)) }),
    ).toMatchObject({ status: 400 });
    expect(await engine.call('POST', '/images/create?fromSrc=-', { body: Buffer.alloc(0) })).toMatchObject({
      status: 400,
    });
    const change = encodeURIComponent('RUN evil');
    expect(
      await engine.call('POST', `/images/create?fromSrc=-&changes=${change}`, { body: Buffer.alloc(1024) }),
    ).toMatchObject({ status: 400 });
    for await (const snapshot of engine.world.snapshotter.walk()) expect(snapshot).toBeUndefined();
  });
});

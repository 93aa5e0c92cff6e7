import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Digest, type DigestAlgorithm, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { type Answer, errorCode, json } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// Every kind of content there is (OCI image-spec) goes through all that the specification lets clients do with it.

let registry: TestRegistry;
let sparse: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
  sparse = await startTestRegistry({ sparseImages: true });
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await sparse[Symbol.asyncDispose]();
});

interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly data?: string;
}

/** Blobs and manifests in the order in which they are pushed. */
class Content {
  readonly blobs = new Map<Digest, Buffer>();
  readonly manifests = new Map<Digest, { mediaType: string; payload: string }>();
  readonly algorithm: DigestAlgorithm;

  constructor(algorithm: DigestAlgorithm = 'sha256') {
    this.algorithm = algorithm;
  }

  blob(mediaType: string, bytes: Buffer = randomBytes(512)): Descriptor {
    const digest = digestOf(bytes, this.algorithm);
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  manifest(document: { mediaType: string }): Descriptor {
    const payload = JSON.stringify({ schemaVersion: 2, ...document });
    const digest = digestOf(payload, this.algorithm);
    this.manifests.set(digest, { mediaType: document.mediaType, payload });
    return { mediaType: document.mediaType, digest, size: Buffer.byteLength(payload) };
  }

  image(more: object = {}): Descriptor {
    const config = this.blob(MEDIA_TYPE.ociConfig, Buffer.from(JSON.stringify({ random: randomBytes(8) })));
    const layers = [
      this.blob(MEDIA_TYPE.ociLayerGzip, gzipSync(randomBytes(512))),
      this.blob(MEDIA_TYPE.ociLayer),
    ];
    return this.manifest({ mediaType: MEDIA_TYPE.ociManifest, config, layers, ...more } as {
      mediaType: string;
    });
  }

  index(manifests: readonly object[], more: object = {}): Descriptor {
    return this.manifest({ mediaType: MEDIA_TYPE.ociIndex, manifests, ...more } as { mediaType: string });
  }
}

const linux = (architecture: string) => ({ platform: { os: 'linux', architecture } });
const platforms = (content: Content) => [
  { ...content.image(), ...linux('amd64') },
  { ...content.image(), ...linux('arm64') },
];
const absent = (mediaType: string) => ({ mediaType, digest: digestOf(randomBytes(32)), size: 123456 });
const artifact = (content: Content, layer: Descriptor) => ({
  artifactType: 'application/vnd.example.thing',
  config: content.blob(MEDIA_TYPE.ociEmpty, Buffer.from('{}')),
  layers: [layer],
});

const kinds: Record<string, (content: Content) => void> = {
  'an image': (content) => content.image(),
  'an image of Docker': (content) => content.image({ mediaType: MEDIA_TYPE.dockerManifest }),
  'an image with a manifest of almost 4 MiB': (content) => {
    const long = 'A'.repeat(10_000);
    content.image({
      annotations: Object.fromEntries(Array.from({ length: 390 }, (_, i) => [`large-${i}`, long])),
    });
  },
  'an image without layers': (content) => content.image({ layers: [] }),
  'an image with layers that are kept elsewhere': (content) => {
    const layer = (suffix: string) => ({
      ...absent(`application/vnd.oci.image.layer.nondistributable.v1.tar${suffix}`),
      urls: ['https://store.example.com/layer'],
    });
    content.image({ layers: [layer('+gzip'), layer(''), content.blob(MEDIA_TYPE.ociLayerGzip)] });
  },
  'descriptors with their data': (content) => {
    const bytes = Buffer.from('{"in":"line"}');
    content.image({
      config: { ...content.blob(MEDIA_TYPE.ociConfig, bytes), data: bytes.toString('base64') },
    });
  },
  'fields that nobody knows': (content) =>
    content.index(
      [{ ...content.image({ 'org.example.custom': 'image' }), 'org.example.more': [1, { a: null }] }],
      {
        'org.example.custom': { nested: true },
      },
    ),
  'an index': (content) => content.index(platforms(content)),
  'a manifest list of Docker': (content) =>
    content.index(platforms(content), { mediaType: MEDIA_TYPE.dockerManifestList }),
  'an index of indexes': (content) =>
    content.index([content.index(platforms(content)), content.index(platforms(content))]),
  'an index of nothing': (content) => content.index([]),
  'an index of what is not there': (content) =>
    content.index([content.image(), { ...absent(MEDIA_TYPE.ociManifest), ...linux('arm64') }]),
  'an artifact': (content) => content.image(artifact(content, content.blob('application/vnd.example.data'))),
  'an artifact without content': (content) =>
    content.image(artifact(content, content.blob(MEDIA_TYPE.ociEmpty, Buffer.from('{}')))),
  'an index that is an artifact': (content) =>
    content.index(platforms(content), { artifactType: 'application/vnd.example.things' }),
  'an image with a subject, and its subject': (content) => content.image({ subject: content.image() }),
  'an index with a subject': (content) =>
    content.index(platforms(content), { subject: content.index(platforms(content)) }),
  'a subject that is not there': (content) => content.image({ subject: absent(MEDIA_TYPE.ociManifest) }),
  'an empty blob': (content) =>
    content.image({ layers: [content.blob(MEDIA_TYPE.ociLayer, Buffer.alloc(0))] }),
};

type Send = TestRegistry['client']['send'];

/** Pushes all of it, by digest and then the last manifest by tag; pulls it, lists it, and deletes it again. */
async function roundTrip(send: Send, name: string, content: Content): Promise<void> {
  const url = (path: string) => `/v2/${name}/${path}`;
  for (const [digest, body] of content.blobs) {
    const location = (await send('POST', url('blobs/uploads/'))).headers.location!;
    expect((await send('PUT', `${location}?digest=${digest}`, { body })).status).toBe(201);
  }
  let last: [Digest, { mediaType: string; payload: string }] | undefined;
  for (const [digest, { mediaType, payload: body }] of content.manifests) {
    const options = { body, headers: { 'Content-Type': mediaType } };
    const byDigest = await send('PUT', url(`manifests/${digest}?tag=by-param-1&tag=by-param-2`), options);
    expectPushed(byDigest, digest);
    expect(byDigest.headers['oci-tag']).toBe('by-param-1, by-param-2');
    last = [digest, { mediaType, payload: body }];
    if (content.algorithm === 'sha256')
      expectPushed(await send('PUT', url('manifests/by-tag'), options), digest);
    for (const reference of [digest, byDigest.headers.location!.split('/').at(-1)!]) {
      await expectManifest(send, url(`manifests/${reference}`), digest, { mediaType, payload: body });
    }
  }
  const tags = ['by-param-1', 'by-param-2', ...(content.algorithm === 'sha256' ? ['by-tag'] : [])];
  for (const tag of tags) await expectManifest(send, url(`manifests/${tag}`), ...last!);
  expect(json(await send('GET', url('tags/list')))).toEqual({ name, tags });
  for (const [digest, bytes] of content.blobs) {
    const [head, get] = [
      await send('HEAD', url(`blobs/${digest}`)),
      await send('GET', url(`blobs/${digest}`)),
    ];
    for (const { status, headers } of [head, get]) {
      expect([status, headers['content-length']]).toEqual([200, String(bytes.length)]);
      expect(headers['docker-content-digest']).toBe(digest);
    }
    expect([head.body.length, get.body.equals(bytes)]).toEqual([0, true]);
  }
  await expectGone(send, url('manifests/by-param-1'));
  for (const digest of [...content.manifests.keys()].reverse())
    await expectGone(send, url(`manifests/${digest}`));
  for (const digest of content.blobs.keys()) await expectGone(send, url(`blobs/${digest}`));
  expect(json(await send('GET', url('tags/list')))).toEqual({ name, tags: [] });
}

function expectPushed({ status, headers }: Answer, digest: Digest): void {
  expect([status, headers['docker-content-digest']]).toEqual([201, digest]);
  expect(headers.location).toMatch(new RegExp(`/manifests/${digest}$`));
}

async function expectManifest(
  send: Send,
  path: string,
  digest: Digest,
  { mediaType, payload }: { mediaType: string; payload: string },
): Promise<void> {
  const accept = { Accept: `${MEDIA_TYPE.ociIndex}, ${MEDIA_TYPE.ociManifest}` };
  const [head, get] = [
    await send('HEAD', path, { headers: accept }),
    await send('GET', path, { headers: accept }),
  ];
  for (const { status, headers } of [head, get]) {
    expect([status, headers['content-type'], headers['docker-content-digest']]).toEqual([
      200,
      mediaType,
      digest,
    ]);
    expect(headers['content-length']).toBe(String(Buffer.byteLength(payload)));
  }
  expect([head.body.length, get.body.toString() === payload]).toEqual([0, true]);
}

async function expectGone(send: Send, path: string): Promise<void> {
  expect((await send('DELETE', path)).status).toBe(202);
  for (const method of ['GET', 'HEAD', 'DELETE']) expect((await send(method, path)).status).toBe(404);
}

for (const algorithm of ['sha256', 'sha512'] as const) {
  it.each(Object.keys(kinds))(`takes %s (${algorithm}), serves it and lets go of it`, async (kind) => {
    const content = new Content(algorithm);
    kinds[kind]!(content);
    const name = `kinds/${algorithm}/${kind.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`;
    await roundTrip((...request) => registry.client.send(...request), name, content);
  });
}

it('takes an image without its layers where that is allowed, and there alone', async () => {
  const content = new Content();
  const digest = content.image({ layers: [absent(MEDIA_TYPE.ociLayerGzip)] }).digest;
  const { payload: body, mediaType } = content.manifests.get(digest)!;
  const options = { body, headers: { 'Content-Type': mediaType } };
  for (const [blob, bytes] of content.blobs) {
    for (const { client } of [registry, sparse]) {
      await client.send('POST', `/v2/kinds/sparse/blobs/uploads/?digest=${blob}`, { body: bytes });
    }
  }
  const refused = await registry.client.send('PUT', '/v2/kinds/sparse/manifests/v1', options);
  expect([refused.status, errorCode(refused)]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN']);
  const taken = await sparse.client.send('PUT', '/v2/kinds/sparse/manifests/v1', options);
  expectPushed(taken, digest);
  expect(taken.headers.warning).toMatch(
    /^299 - "1 of the blobs that this image names are not in the repository/,
  );
});

import { describe, expect, it } from 'vitest';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import {
  CACHE_CONFIG_TYPE,
  INLINE_CACHE,
  parseCacheConfig,
  writeCacheConfig,
} from '#worker/build/cache/portable/cache-config.ts';
import type { CacheSource } from '#worker/build/cache/portable/cache-source.ts';
import { parseCacheExports } from '#worker/build/cache/portable/export-options.ts';
import { ImportedCache } from '#worker/build/cache/portable/imported-cache.ts';
import { inlineCache } from '#worker/build/cache/portable/inline-cache.ts';
import { readCache } from '#worker/build/cache/portable/read-cache.ts';
import { type ExportedStep, LayerGraph, recordsOf } from '#worker/build/cache/portable/record-graph.ts';
import { DIFF_ID, RecordIndex } from '#worker/build/cache/portable/record-index.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';

const { signal } = new AbortController();
const d = (name: string): Digest => digestOf(name);
const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip';
const layer = (
  name: string,
  annotations: Record<string, string> = { [DIFF_ID]: d(`diff ${name}`) },
): Descriptor => ({
  mediaType: GZIP,
  digest: d(name),
  size: 1,
  annotations,
});

/** A registry of blobs. */
class Blobs implements CacheSource {
  readonly contents = new Map<string, Buffer>();
  readonly gone = new Set<string>();

  put(value: unknown, mediaType = 'application/vnd.oci.image.manifest.v1+json'): Descriptor {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    const digest = digestOf(bytes);
    this.contents.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  async manifest(reference: string) {
    const payload = this.contents.get(reference)!;
    return { mediaType: '', digest: reference as Digest, payload };
  }

  async smallBlob({ digest }: Descriptor) {
    return this.contents.get(digest)!;
  }

  async *blob(): AsyncGenerator<Uint8Array> {}

  async hasBlob(digest: string) {
    return !this.gone.has(digest);
  }
}

const source: ExportedStep = {
  digests: [d('manifest'), d('layers')],
  selectors: [],
  inputs: [],
  contents: new Map(),
  outputs: 1,
  outcomes: [],
};
const stack = (...names: string[]): LayersRef => ({
  kind: 'layers',
  layers: names.map((name) => ({ diffId: d(`diff ${name}`) })),
});
const step = (name: string, on: ExportedStep, outcome?: LayersRef): ExportedStep => ({
  digests: [d(name)],
  selectors: [d('/')],
  inputs: [{ step: on, output: 0 }],
  contents: new Map(),
  outputs: 1,
  outcomes: outcome ? [outcome] : [],
});

describe('records', () => {
  it('lead from sources to what was made of them, by all names', () => {
    const one = step('one', source, stack('base', 'one'));
    const graph = new LayerGraph();
    const records = recordsOf([source, one, step('two', one)], ({ layers }) => {
      const top = graph.place(layers.map(({ diffId }) => digestOf(`blob ${diffId}`)));
      return { layers: [{ layer: top, createdAt: '2026-01-01T00:00:00.000Z' }], chains: [] };
    });
    const config = parseCacheConfig(writeCacheConfig({ layers: graph.layers, records }));
    expect(config).toEqual({ layers: graph.layers, records });
    expect(config.layers.map(({ parent }) => parent)).toEqual([-1, 0]);
    const blobs = new Map(
      ['base', 'one'].map((name) => {
        const digest = digestOf(`blob ${d(`diff ${name}`)}`);
        return [digest, { ...layer(name), digest }];
      }),
    );
    const index = new RecordIndex(config, blobs, new Blobs());
    for (const name of ['manifest', 'layers']) {
      const [root] = index.roots(digestOf(`${d(name)}@0`));
      const [found] = index.above(root!, 0, d('/'), digestOf(`${d('one')}@0`));
      expect(index.outcome(found!)?.layers.map(({ diffId }) => diffId)).toEqual(
        stack('base', 'one').layers.map(({ diffId }) => diffId),
      );
      expect(index.above(root!, 0, '', digestOf(`${d('one')}@0`))).toEqual([]);
      const [last] = index.above(found!, 0, d('/'), digestOf(`${d('two')}@0`));
      expect(index.outcome(last!)).toBeUndefined();
    }
  });

  it('are none of what stands on something without a name', () => {
    const local = { ...source, digests: [] };
    expect(recordsOf([local, step('one', local)], () => undefined)).toEqual([]);
    const known = { ...step('one', local), contents: new Map([[0, new Set([d('content')])]]) };
    expect(recordsOf([local, known], () => undefined).map(({ digest }) => digest)).toEqual([
      d('content'),
      digestOf(`${d('one')}@0`),
    ]);
  });

  it('fit into an image that has their layers', () => {
    const one = step('one', source, stack('base', 'one'));
    const image = stack('base', 'one', 'two').layers.map(({ diffId }) => diffId);
    const written = JSON.parse(inlineCache([source, one], image)!.toString());
    expect(written.at(-1).layers).toEqual([{ layer: 1, createdAt: '0001-01-01T00:00:00Z' }]);
    expect(inlineCache([source, one], image.slice(0, 1))).toBeUndefined();
  });
});

describe('a cache that lies', () => {
  const read = async (config: unknown, layers: Descriptor[] = []) => {
    const blobs = new Blobs();
    const described = blobs.put(config, CACHE_CONFIG_TYPE);
    const root = blobs.put({ schemaVersion: 2, config: described, layers });
    return readCache(blobs, root.digest, { signal });
  };
  const record = { digest: d('r') };

  it('may have loops and dead ends', async () => {
    const loop = [
      { ...record, inputs: [[{ link: 1 }]] },
      { ...record, inputs: [[{ link: 0 }, { link: 99 }]] },
    ];
    const [index] = await read(
      {
        layers: [
          { blob: d('a'), parent: 1 },
          { blob: d('b'), parent: 0 },
        ],
        records: [...loop, { ...record, layers: [{ layer: 0 }, { layer: 77 }], chains: [{ layers: [5] }] }],
      },
      [layer('a'), layer('b')],
    );
    expect(index!.roots(d('r'))).toEqual([2]);
    expect(index!.outcome(2)).toBeUndefined();
    expect(index!.outcome(99)).toBeUndefined();
    expect(index!.above(0, 0, '', d('r'))).toEqual([1]);
  });

  it('has no outcomes of layers that it does not list, or of which nobody says what they are', async () => {
    const records = ['a', 'b', 'c'].map((_, at) => ({ ...record, layers: [{ layer: at }] }));
    const layers = ['a', 'b', 'c'].map((name) => ({ blob: d(name), parent: -1 }));
    const [index] = await read({ layers, records }, [layer('a'), layer('b', { [DIFF_ID]: 'no digest' })]);
    expect(index!.outcome(0)?.layers).toHaveLength(1);
    expect(index!.outcome(1)).toBeUndefined();
    expect(index!.outcome(2)).toBeUndefined();
  });

  it.each([
    ['no JSON', '{'],
    ['no object', []],
    ['records that are none', { records: [{ digest: 'x' }] }],
    ['links that are none', { records: [{ ...record, inputs: [[{ link: -1 }]] }] }],
    ['layers that are none', { layers: [{ blob: '../../etc/passwd' }] }],
  ])('is refused for %s', async (_what, config) => {
    await expect(read(config)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('is refused before it is read when it is too large', async () => {
    const blobs = new Blobs();
    const config = { mediaType: CACHE_CONFIG_TYPE, digest: d('huge'), size: 100_000_000 };
    const root = blobs.put({ config, layers: [] });
    await expect(readCache(blobs, root.digest, { signal })).rejects.toMatchObject({ kind: 'too-large' });
  });

  it('is none in an image whose configuration is of another one', async () => {
    const blobs = new Blobs();
    const cache = Buffer.from(JSON.stringify([{ ...record, layers: [{ layer: 0 }] }])).toString('base64');
    const config = (diffIds: string[]) => blobs.put({ rootfs: { diff_ids: diffIds }, [INLINE_CACHE]: cache });
    const image = (diffIds: string[]) => blobs.put({ config: config(diffIds), layers: [layer('a', {})] });
    expect(await readCache(blobs, image([d('x'), d('y')]).digest, { signal })).toEqual([]);
    const [index] = await readCache(blobs, image([d('x')]).digest, { signal });
    expect(index!.outcome(0)?.layers[0]?.diffId).toBe(d('x'));
    const platforms = blobs.put({ manifests: [image([d('x')]), image([])] });
    expect(await readCache(blobs, platforms.digest, { signal })).toHaveLength(1);
  });

  it('gives no step of which layers are gone', async () => {
    const blobs = new Blobs();
    const cache = new ImportedCache(Promise.resolve(blobs), async () => []);
    const remote = { descriptor: layer('a'), fetcher: blobs };
    const outputs: LayersRef[] = [{ kind: 'layers', layers: [{ diffId: d('x'), remote }] }];
    blobs.gone.add(d('a'));
    const found = cache.record(outputs)!;
    expect(await cache.load(found, { signal })).toBe(false);
    expect(cache.record(outputs)).toBeUndefined();
  });
});

describe('where a cache goes', () => {
  it('is said as for BuildKit', () => {
    const { exports, inline } = parseCacheExports([
      {
        type: 'registry',
        attrs: { ref: 'a/b', mode: 'max', 'oci-mediatypes': 'false', 'ignore-error': 'true' },
      },
      { type: 'local', attrs: { dest: '/d' } },
      { type: 'inline', attrs: {} },
    ]);
    expect(inline).toBe(true);
    expect(exports).toMatchObject([
      { type: 'registry', mode: 'max', ociTypes: false, imageManifest: false, ignoreError: true },
      { type: 'local', directory: '/d', mode: 'min', ociTypes: true, imageManifest: true },
    ]);
  });

  it.each([
    [{ type: 'gha', attrs: {} }, 'unknown cache exporter: "gha" (there are registry, local and inline)'],
    [{ type: 'registry', attrs: {} }, 'missing ref'],
    [{ type: 'local', attrs: {} }, 'requires dest'],
    [
      { type: 'local', attrs: { dest: 'x', 'oci-mediatypes': 'false', 'image-manifest': 'true' } },
      'OCI mediatypes',
    ],
    [{ type: 'local', attrs: { dest: 'x', 'oci-mediatypes': 'perhaps' } }, 'non-bool'],
  ])('is refused: %j', (option, message) => {
    expect(() => parseCacheExports([option as Parameters<typeof parseCacheExports>[0][number]])).toThrow(
      message,
    );
  });

  it('is no place twice', () => {
    const option = { type: 'registry', attrs: { ref: 'a/b' } };
    expect(() => parseCacheExports([option, { ...option, attrs: { ref: 'a/b', mode: 'max' } }])).toThrow(
      'duplicate cache exports [registry]',
    );
  });
});

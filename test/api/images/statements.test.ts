import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { StoredManifest } from '#worker/images/image-repository.ts';
import type { ImageStatements } from '#worker/images/statement-repository.ts';
import { FaultyRegistry } from './faulty-registry.ts';
import { ImagesEngine } from './images-engine.ts';

let registry: FaultyRegistry;
let engine: ImagesEngine;
let id: Digest;
let manifest: StoredManifest;
beforeEach(async () => {
  registry = await FaultyRegistry.start();
  engine = await ImagesEngine.start();
  id = (await engine.makeImage(name('kept:plain'), 'content')) as Digest;
  await engine.push(name('kept:plain'));
  [manifest] = (await engine.images.rows.images.manifests(id)) as [StoredManifest];
});
afterEach(async () => {
  await engine[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

const name = (path: string) => `${registry.address}/${path}`;

function document(mediaType: string, value: object): StoredManifest {
  const payload = Buffer.from(JSON.stringify(value));
  return { digest: digestOf(payload), mediaType, payload };
}

const describing = ({ digest, mediaType, payload }: StoredManifest) => ({
  mediaType,
  digest,
  size: payload.length,
});

/** What a build of the image says of it. */
function stated(build: string): ImageStatements {
  const statement = document('application/vnd.in-toto+json', { build });
  const config = document(MEDIA_TYPE.ociConfig, { build });
  const attestation = document(MEDIA_TYPE.ociManifest, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: describing(config),
    layers: [describing(statement)],
  });
  const index = document(MEDIA_TYPE.ociIndex, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociIndex,
    manifests: [describing(manifest), describing(attestation)],
  });
  return { blobs: [config, statement], manifests: [attestation], index };
}

/** As an exporter does. undefined: nothing is stated. */
async function build(says: string | undefined, ...tags: string[]): Promise<Digest | undefined> {
  const { store, rows } = engine.images;
  const statements = says === undefined ? undefined : stated(says);
  if (statements) await rows.statements.add(id, statements);
  for (const tag of tags) await store.tag(id, name(`kept:${tag}`), { statements: statements?.index.digest });
  return statements?.index.digest;
}

async function pushed(tag: string): Promise<string | null> {
  await engine.push(name(`kept:${tag}`));
  const headers = {
    accept: `${MEDIA_TYPE.ociIndex}, ${MEDIA_TYPE.dockerManifest}, ${MEDIA_TYPE.ociManifest}`,
  };
  const reply = await fetch(`http://${registry.address}/v2/kept/manifests/${tag}`, { headers });
  return reply.headers.get('docker-content-digest');
}

describe('what builds of one image state of it', () => {
  it('goes with the name that each of them gave it', async () => {
    const first = await build('first', 'a');
    const second = await build('second', 'b');
    expect([await pushed('a'), await pushed('b')]).toEqual([first, second]);
    await build(undefined, 'c', 'b');
    expect([await pushed('a'), await pushed('b'), await pushed('c')]).toEqual([
      first,
      manifest.digest,
      manifest.digest,
    ]);
  });

  it('goes along when it is named once more, by a name or by the digest of its index', async () => {
    const first = await build('first', 'a');
    const second = await build('second', 'b');
    for (const [from, to] of [
      [name('kept:a'), 'c'],
      [second, 'd'],
    ]) {
      const reply = await engine.call('POST', `/images/${from}/tag?repo=${name('kept')}&tag=${to}`);
      expect(reply.status).toBe(201);
    }
    expect([await pushed('c'), await pushed('d')]).toEqual([first, second]);
    await engine.pull(name('kept:c'));
    await engine.call('POST', `/images/${id}/tag?repo=${name('kept')}&tag=a`);
    expect([await pushed('c'), await pushed('a')]).toEqual([first, manifest.digest]);
  });

  it('is found by each index, of the newest builds only where nobody has named it', async () => {
    const named = await build('named', 'a');
    const nameless: Digest[] = [];
    for (let at = 0; at < 10; at++) nameless.push((await build(`nameless ${at}`))!);
    const found = await Promise.all(
      [named!, ...nameless].map((digest) =>
        engine.images.store.resolve(digest).then(
          (image) => image.id,
          () => undefined,
        ),
      ),
    );
    expect(found).toEqual([id, undefined, ...Array(9).fill(id)]);
    expect(await pushed('a')).toBe(named);
  });

  it('goes with the image', async () => {
    const index = await build('once', 'a');
    for (const tag of ['a', 'plain']) await engine.call('DELETE', `/images/${name(`kept:${tag}`)}`);
    await expect(engine.images.store.resolve(index!)).rejects.toMatchObject({ kind: 'not-found' });
    expect(await engine.images.rows.statements.of(index!)).toBeUndefined();
  });
});

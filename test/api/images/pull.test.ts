import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { FaultyRegistry, isBlob } from './faulty-registry.ts';
import { ImagesEngine } from './images-engine.ts';

let registry: FaultyRegistry;
let engine: ImagesEngine;
/** Has pushed `big` (one layer that cannot be compressed) and `two` (two layers) to the registry. */
let source: ImagesEngine;
let big: string;
const content = randomBytes(3_000_000);

beforeEach(async () => {
  registry = await FaultyRegistry.start();
  source = await ImagesEngine.start();
  engine = await ImagesEngine.start({ registryMirrors: [`http://${registry.address}`] });
  big = await source.makeImage(`${registry.address}/library/big:1`, content);
  await source.push(`${registry.address}/library/big:1`);
  registry.clear();
});
afterEach(async () => {
  await engine[Symbol.asyncDispose]();
  await source[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

const blobGets = () => registry.seen.filter((line) => line.startsWith('GET') && line.includes('/blobs/'));
/** The layer's downloads; a configuration is much smaller and has its own. */
const layerGets = () => blobGets().filter((line) => !line.includes(big));
const ids = async () =>
  (await engine.call('GET', '/images/json')).json.map((image: { Id: string }) => image.Id);
const isLayer = (request: Parameters<typeof isBlob>[0]) => isBlob(request) && !request.url!.includes(big);

describe('docker pull', () => {
  it('brings an image by name from a mirror, says so as the engine does, and does it once', async () => {
    const lines = await engine.pull('big:1');
    const steps = lines.map((line) =>
      line.replace(/[0-9a-f]{12}: /, '').replace(/sha256:[0-9a-f]{64}/, 'sha256:…'),
    );
    expect([...new Set(steps)]).toEqual([
      '1: Pulling from library/big',
      'Pulling fs layer',
      'Waiting',
      'Downloading',
      'Verifying Checksum',
      'Download complete',
      'Extracting',
      'Pull complete',
      'Digest: sha256:…',
      'Status: Downloaded newer image for big:1',
    ]);
    const again = await engine.pull('big:1');
    expect(again.at(-1)).toBe('Status: Image is up to date for big:1');
    expect(again.some((line) => line.endsWith('Already exists'))).toBe(true);
    expect(layerGets()).toHaveLength(1);
    const inspected = (await engine.call('GET', '/images/big:1/json')).json;
    expect(inspected).toMatchObject({ Id: big, RepoTags: ['big:1'], Size: content.length });
    expect(inspected.RepoDigests).toEqual([expect.stringMatching(/^big@sha256:[0-9a-f]{64}$/)]);
    expect(engine.events.map(({ action, actor }) => [action, actor.id])).toEqual([
      ['pull', 'big:1'],
      ['pull', 'big:1'],
    ]);
  });

  it('brings the same image by digest', async () => {
    await engine.pull(`${registry.address}/library/big:1`);
    const [name] = (await engine.call('GET', `/images/${big}/json`)).json.RepoDigests;
    await engine.call('DELETE', `/images/${big}`);
    const digest = name.split('@')[1];
    await engine.call('POST', `/images/create?fromImage=${registry.address}/library/big&tag=${digest}`);
    const inspected = (await engine.call('GET', `/images/${encodeURIComponent(name)}/json`)).json;
    expect(inspected).toMatchObject({ Id: big, RepoTags: [], RepoDigests: [name] });
  });

  it('goes on where a broken connection ended', async () => {
    let drops = 0;
    registry.add((request, response) => {
      if (!isLayer(request) || drops >= 2) return false;
      drops++;
      registry.forward(request, response, (chunk, sent) => (sent > 700_000 ? 'drop' : chunk));
      return true;
    });
    await engine.pull('big:1');
    expect(await ids()).toEqual([big]);
    const ranges = layerGets().map((line) => Number(/bytes=(\d+)-/.exec(line)?.[1] ?? 0));
    expect(ranges).toHaveLength(3);
    expect(ranges[1]).toBeGreaterThan(700_000);
    expect(ranges[2]).toBeGreaterThan(ranges[1]! + 700_000);
  });

  it('copes with a server that ignores ranges', async () => {
    let first = true;
    registry.add((request, response) => {
      if (!isLayer(request)) return false;
      if (first) registry.forward(request, response, (chunk, sent) => (sent > 500_000 ? 'drop' : chunk));
      else {
        delete request.headers.range;
        registry.forward(request, response);
      }
      first = false;
      return true;
    });
    await engine.pull('big:1');
    expect(await ids()).toEqual([big]);
  });

  it('keeps what it downloaded when the client leaves, and the next pull, of another process, goes on there', async () => {
    const controller = new AbortController();
    let gets = 0;
    registry.add((request, response) => {
      if (!isLayer(request)) return false;
      // Whoever asks again has stored what came before; then the client leaves, without an answer.
      if (gets++ > 0) controller.abort();
      else registry.forward(request, response, (chunk, sent) => (sent > 1_000_000 ? 'drop' : chunk));
      return true;
    });
    await expect(engine.pull('big:1', '', { signal: controller.signal })).rejects.toThrow();
    registry.clear();
    engine = await engine.restart();
    for await (const snapshot of engine.world.snapshotter.walk()) expect(snapshot.kind).toBe('committed');
    await engine.pull('big:1');
    expect(await ids()).toEqual([big]);
    expect(Number(/bytes=(\d+)-/.exec(layerGets()[0] ?? '')?.[1])).toBeGreaterThan(500_000);
  });

  it('takes no byte that is not what the digest says, and brings the right ones next time', async () => {
    registry.add((request, response) => {
      if (!isLayer(request)) return false;
      registry.forward(request, response, (chunk, sent) => {
        const altered = Buffer.from(chunk);
        if (sent === 0) altered[2000] = altered[2000]! ^ 1;
        return altered;
      });
      return true;
    });
    await expect(engine.pull('big:1')).rejects.toThrow(/verification failed|broken|invalid/);
    expect(await ids()).toEqual([]);
    registry.clear();
    await engine.pull('big:1');
    expect(await ids()).toEqual([big]);
  });

  it('refuses a layer that is not the one of the configuration', async () => {
    // A manifest that pairs one image's configuration with another one's layer.
    const other = await source.makeImage('other:1', 'other');
    await source.images.store.tag(other as never, `${registry.address}/library/other:1`);
    await source.push(`${registry.address}/library/other:1`);
    const get = async (tag: string) =>
      JSON.parse(
        await (
          await fetch(`http://${registry.address}/v2/library/${tag}/manifests/1`, {
            headers: { accept: MEDIA_TYPE.dockerManifest },
          })
        ).text(),
      );
    const mixed = { ...(await get('big')), layers: (await get('other')).layers };
    const blobs = `http://${registry.address}/v2/library/other/blobs/uploads/?mount=${big}&from=library/big`;
    expect((await fetch(blobs, { method: 'POST' })).status).toBe(201);
    const put = await fetch(`http://${registry.address}/v2/library/other/manifests/mixed`, {
      method: 'PUT',
      headers: { 'content-type': MEDIA_TYPE.dockerManifest },
      body: JSON.stringify(mixed),
    });
    expect(put.status).toBe(201);
    await expect(engine.pull('other:mixed')).rejects.toThrow('diff ID');
    expect(await ids()).toEqual([]);
    for await (const snapshot of engine.world.snapshotter.walk()) expect(snapshot).toBeUndefined();
  });

  it('brings a layer once for pulls at the same time, and one that leaves does not stop the other', async () => {
    const controller = new AbortController();
    registry.add((request, response) => {
      if (!isLayer(request)) return false;
      registry.forward(request, response, (chunk, sent) => {
        if (sent > 500_000) controller.abort();
        return chunk;
      });
      return true;
    });
    const leaving = engine.pull('big:1', '', { signal: controller.signal });
    const staying = engine.pull(`${registry.address}/library/big:1`);
    await expect(leaving).rejects.toThrow();
    await staying;
    expect(layerGets()).toHaveLength(1);
    expect(await ids()).toEqual([big]);
  });

  it('chooses the host’s platform from an index, and another one when asked', async () => {
    const base = `http://${registry.address}/v2/library/big/manifests`;
    const reply = await fetch(`${base}/1`, { headers: { accept: MEDIA_TYPE.dockerManifest } });
    const payload = Buffer.from(await reply.arrayBuffer());
    const descriptor = {
      mediaType: MEDIA_TYPE.dockerManifest,
      digest: digestOf(payload),
      size: payload.length,
    };
    const index = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociIndex,
      manifests: [
        { ...descriptor, digest: digestOf('not here'), platform: { os: 'linux', architecture: 's390x' } },
        { ...descriptor, platform: { os: 'linux', architecture: 'amd64' } },
        { ...descriptor, platform: { os: 'linux', architecture: 'arm64' } },
      ],
    };
    await fetch(`${base}/multi`, {
      method: 'PUT',
      headers: { 'content-type': MEDIA_TYPE.ociIndex },
      body: JSON.stringify(index),
    });
    await engine.pull('big:multi');
    expect(await ids()).toEqual([big]);
    await expect(engine.pull('big:multi', '&platform=linux/mips64le')).rejects.toThrow(
      'no matching manifest for linux/mips64le in the manifest list entries',
    );
    await expect(engine.pull('big:1', '&platform=linux/riscv64')).rejects.toThrow(
      'does not provide the specified platform (linux/riscv64)',
    );
    const remote = (await engine.call('GET', `/distribution/${registry.address}/library/big:multi/json`))
      .json;
    expect(remote.Descriptor.mediaType).toBe(MEDIA_TYPE.ociIndex);
    expect(remote.Platforms).toHaveLength(3);
  });

  it('says what is not there, with a status while it still can', async () => {
    const missing = await engine.call(
      'POST',
      `/images/create?fromImage=${registry.address}/library/big&tag=2`,
    );
    expect(missing.status).toBe(404);
    expect(missing.json.message).toBe(
      `manifest for ${registry.address}/library/big:2 not found: manifest unknown: manifest unknown`,
    );
    registry.add((_, response) => {
      response.writeHead(403, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          errors: [{ code: 'DENIED', message: 'requested access to the resource is denied' }],
        }),
      );
      return true;
    });
    const denied = await engine.call('POST', `/images/create?fromImage=${registry.address}/private&tag=1`);
    expect([denied.status, denied.json.message]).toEqual([
      404,
      `pull access denied for ${registry.address}/private, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
    ]);
    const nowhere = await engine.call('POST', '/images/create?fromImage=nowhere.invalid/x&tag=1');
    expect([nowhere.status, nowhere.json.message]).toEqual([
      500,
      expect.stringContaining('https://nowhere.invalid/v2/x/manifests/1'),
    ]);
    expect((await engine.call('POST', '/images/create?fromImage=UPPER&tag=1')).status).toBe(400);
    expect((await engine.call('GET', '/images/none/json')).json.message).toBe('No such image: none:latest');
  });

  it('tries again when a server is busy', async () => {
    let busy = 2;
    registry.add((request, response) => {
      if (!isBlob(request) || busy-- <= 0) return false;
      response.writeHead(busy % 2 ? 503 : 429).end();
      return true;
    });
    await engine.pull('big:1');
    expect(await ids()).toEqual([big]);
  });
});

import { randomBytes } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { FaultyRegistry, isBlob } from './faulty-registry.ts';
import { ImagesEngine } from './images-engine.ts';

let registry: FaultyRegistry;
let engine: ImagesEngine;
beforeEach(async () => {
  registry = await FaultyRegistry.start();
  engine = await ImagesEngine.start();
});
afterEach(async () => {
  await engine[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

const name = (path: string) => `${registry.address}/${path}`;
const auth = (credentials: object) => ({
  headers: { 'X-Registry-Auth': Buffer.from(JSON.stringify(credentials)).toString('base64url') },
});
async function manifest(path: string, tag: string): Promise<{ digest: string | null; text: string }> {
  const accept = `${MEDIA_TYPE.dockerManifest}, ${MEDIA_TYPE.ociManifest}`;
  const reply = await fetch(`http://${registry.address}/v2/${path}/manifests/${tag}`, {
    headers: { accept },
  });
  return { digest: reply.headers.get('docker-content-digest'), text: await reply.text() };
}
const steps = (lines: string[]) => lines.map((line) => line.replace(/[0-9a-f]{12,64}/g, '…'));

describe('docker push', () => {
  it('says what it does as the engine does, and the second time does nothing', async () => {
    await engine.makeImage(name('a:1'), 'content');
    const lines = steps(await engine.push(name('a:1')));
    expect([...new Set(lines)]).toEqual([
      `The push refers to repository [${registry.address}/a]`,
      '…: Preparing',
      '…: Pushing',
      '…: Pushed',
      expect.stringMatching(/^1: digest: sha256:… size: \d+$/),
    ]);
    const { digest } = await manifest('a', '1');
    const again = await engine.push(name('a:1'));
    expect(steps(again)).toContain('…: Layer already exists');
    expect(again.at(-1)).toContain(digest);
    const { lines: raw } = await engine.call('POST', `/images/${name('a')}/push?tag=1`);
    expect(raw.at(-1)).toEqual({
      progressDetail: {},
      aux: { Tag: '1', Digest: digest, Size: expect.any(Number) },
    });
    expect(engine.events.filter(({ action }) => action === 'push')).toHaveLength(3);
  });

  it('sends a layer while it is compressed, and once', async () => {
    await engine.makeImage(name('a:1'), randomBytes(24_000_000));
    let sent = 0;
    const compressed: string[] = [];
    registry.add(async (request) => {
      if (request.method === 'PUT') sent += Number(request.headers['content-length']);
      if (request.method !== 'PATCH') return false;
      // Nobody reads it yet: it cannot have been compressed to its end.
      for await (const { location } of engine.content.walk('compressed')) compressed.push(location);
      request.on('data', (chunk: Buffer) => {
        sent += chunk.length;
      });
      return false;
    });
    expect(steps(await engine.push(name('a:1')))).toContain('…: Pushed');
    expect(registry.seen.filter((line) => line.startsWith('PATCH'))).toHaveLength(1);
    expect(compressed).toEqual([]);
    expect(sent).toBeGreaterThan(24_000_000);
    expect(sent).toBeLessThan(24_200_000);
    await engine.call('DELETE', `/images/${name('a:1')}`);
    await engine.pull(name('a:1'));
  });

  it.each([
    ['refuses that', (response: ServerResponse) => response.writeHead(405).end()],
    ['breaks the connection', (response: ServerResponse) => response.destroy()],
  ])('sends a layer when it is whole where the registry %s', async (_, answer) => {
    await engine.makeImage(name('a:1'), randomBytes(3_000_000));
    registry.add((request, response) => {
      if (request.method !== 'PATCH') return false;
      request.once('data', () => answer(response));
      return true;
    });
    expect(steps(await engine.push(name('a:1')))).toContain('…: Pushed');
    registry.clear();
    await engine.call('DELETE', `/images/${name('a:1')}`);
    await engine.pull(name('a:1'));
  });

  it('takes layers over from the registry’s other repositories', async () => {
    const id = await engine.makeImage(name('a:1'), 'content');
    await engine.push(name('a:1'));
    await engine.images.store.tag(id as never, name('b/c:2'));
    registry.clear();
    expect(steps(await engine.push(name('b/c:2')))).toContain('…: Mounted from a');
    expect(registry.seen.filter((line) => line.startsWith('PUT') && line.includes('/blobs/'))).toHaveLength(
      1,
    );
  });

  it('compresses a layer that was made here to the same bytes, also after a restart and a removal', async () => {
    const content = Buffer.from('the same content '.repeat(100_000));
    await engine.makeImage(name('a:1'), content);
    await engine.push(name('a:1'));
    const first = await manifest('a', '1');
    await engine.call('DELETE', `/images/${name('a:1')}`);
    engine = await engine.restart();
    await engine.pull(name('a:1'));
    await engine.call('POST', `/images/${name('a:1')}/tag?repo=${name('other')}&tag=2`);
    await engine.push(name('other:2'));
    expect((await manifest('other', '2')).digest).toBe(first.digest);
  });

  it('gives back a foreign image’s own manifest and layers, byte for byte', async () => {
    const base = `http://${registry.address}/v2/foreign`;
    const upload = async (bytes: Buffer, mediaType: string) => {
      const { digestOf } = await import('#oci/digest.ts');
      const digest = digestOf(bytes);
      await fetch(`${base}/blobs/uploads/?digest=${digest}`, {
        method: 'POST',
        body: new Uint8Array(bytes),
        headers: { 'content-type': 'application/octet-stream' },
      });
      return { mediaType, digest, size: bytes.length };
    };
    const { packed } = await import('../../unit/tar/tar-bytes.ts');
    const { zstdCompressSync } = await import('node:zlib');
    const { digestOf } = await import('#oci/digest.ts');
    const tar = await packed([{ path: 'f', content: 'foreign', mtimeNanoseconds: 7 }]);
    const config = {
      os: 'linux',
      architecture: 'amd64',
      rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
    };
    const payload = JSON.stringify({
      layers: [await upload(zstdCompressSync(tar), MEDIA_TYPE.ociLayerZstd)],
      config: await upload(Buffer.from(JSON.stringify(config)), MEDIA_TYPE.ociConfig),
      annotations: { note: 'kept' },
      mediaType: MEDIA_TYPE.ociManifest,
      schemaVersion: 2,
    });
    await fetch(`${base}/manifests/1`, {
      method: 'PUT',
      body: payload,
      headers: { 'content-type': MEDIA_TYPE.ociManifest },
    });
    await engine.pull(name('foreign:1'));
    await engine.call('POST', `/images/${name('foreign:1')}/tag?repo=${name('mine')}&tag=1`);
    await engine.push(name('mine:1'));
    expect((await manifest('mine', '1')).text).toBe(payload);
  });

  it('sends a layer again when the connection broke', async () => {
    await engine.makeImage(name('a:1'), randomBytes(2_000_000));
    let broken = 0;
    registry.add((request) => {
      if (request.method !== 'PUT' || !request.url!.includes('/blobs/uploads/') || broken > 0) return false;
      broken++;
      setTimeout(() => request.socket.destroy(), 20);
      return true;
    });
    await engine.push(name('a:1'));
    expect(broken).toBe(1);
    expect((await manifest('a', '1')).digest).toMatch(/^sha256:/);
  });

  it('says which name it does not have', async () => {
    const reply = await engine.call('POST', `/images/${name('none')}/push?tag=1`);
    expect([reply.status, reply.json.message]).toEqual([404, `tag does not exist: ${name('none:1')}`]);
  });

  it('pushes every tag of a repository when none is named', async () => {
    const id = await engine.makeImage(name('many:1'), 'content');
    await engine.images.store.tag(id as never, name('many:2'));
    expect(
      (await engine.call('POST', `/images/${name('many')}/push`)).lines.filter((line) => line.aux),
    ).toHaveLength(2);
    const puller = await ImagesEngine.start();
    try {
      await puller.call('POST', `/images/create?fromImage=${name('many')}`);
      const [image] = (await puller.call('GET', '/images/json')).json;
      expect(image.RepoTags).toEqual([name('many:1'), name('many:2')]);
    } finally {
      await puller[Symbol.asyncDispose]();
    }
  });
});

describe('a registry that asks who one is', () => {
  let tokenServer: Server;
  let asked: URL[];
  let realm: string;
  beforeEach(async () => {
    asked = [];
    tokenServer = createServer((request, response) => {
      asked.push(new URL(request.url!, 'http://x'));
      const given = request.headers.authorization;
      const right = `Basic ${Buffer.from('user:pass:word').toString('base64')}`;
      if (given !== undefined && given !== right) {
        response.writeHead(401, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'wrong password' }] }));
        return;
      }
      const token = given ? `secret-${asked.at(-1)!.searchParams.getAll('scope').join('+')}` : 'anonymous';
      response.end(JSON.stringify({ token, expires_in: 300 }));
    });
    await new Promise<void>((resolve) => tokenServer.listen(0, '127.0.0.1', resolve));
    realm = `http://127.0.0.1:${(tokenServer.address() as AddressInfo).port}/token`;
  });
  afterEach(() => new Promise((resolve) => tokenServer.close(resolve)));

  function demandBearer(accept: (token: string, method: string) => boolean): void {
    registry.add((request, response) => {
      const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
      if (accept(token, request.method!)) return false;
      request.resume();
      const scope = `repository:${/^\/v2\/(.*)\/(?:blobs|manifests)\//.exec(request.url!)?.[1]}:pull`;
      response.writeHead(401, {
        'www-authenticate': `Bearer realm="${realm}",service="test",scope="${scope}"`,
        'content-type': 'application/json',
      });
      response.end(
        JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] }),
      );
      return true;
    });
  }

  it('gets a token for the password, for pushing, and one for all requests', async () => {
    demandBearer((token) => token.startsWith('secret-') && token.includes('a:pull,push'));
    await engine.makeImage(name('a:1'), 'content');
    await expect(engine.push(name('a:1'))).rejects.toThrow('unauthorized');
    asked.length = 0;
    await engine.push(name('a:1'), auth({ username: 'user', password: 'pass:word' }));
    const [url] = asked;
    expect(asked.length).toBeLessThanOrEqual(2);
    expect(url!.searchParams.get('service')).toBe('test');
    expect(url!.searchParams.getAll('scope')).toContain('repository:a:pull,push');
    await expect(engine.push(name('a:1'), auth({ username: 'user', password: 'wrong' }))).rejects.toThrow(
      'wrong password',
    );
  });

  it('gets an anonymous token for pulling', async () => {
    await engine.makeImage(name('a:1'), 'content');
    await engine.push(name('a:1'));
    demandBearer((token) => token === 'anonymous');
    const other = await ImagesEngine.start();
    try {
      await other.pull(name('a:1'));
      expect((await other.call('GET', '/images/json')).json).toHaveLength(1);
    } finally {
      await other[Symbol.asyncDispose]();
    }
  });

  it('gets the password itself when it asks for Basic; docker login tries it', async () => {
    const right = `Basic ${Buffer.from('user:pass').toString('base64')}`;
    registry.add((request, response) => {
      if (request.headers.authorization === right) return false;
      request.resume();
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      return true;
    });
    await engine.makeImage(name('a:1'), 'content');
    await engine.push(name('a:1'), auth({ username: 'user', password: 'pass' }));
    await expect(engine.push(name('a:1'), auth({ username: 'user', password: 'no' }))).rejects.toThrow(
      'authentication required',
    );
    const login = (password: string) =>
      engine.call('POST', '/auth', {
        body: Buffer.from(JSON.stringify({ username: 'user', password, serveraddress: registry.address })),
        headers: { 'content-type': 'application/json' },
      });
    expect(await login('pass')).toMatchObject({ status: 200, json: { Status: 'Login Succeeded' } });
    const refused = await login('no');
    expect([refused.status, refused.json.message]).toEqual([
      401,
      expect.stringContaining('incorrect username or password'),
    ]);
  });

  it('is not followed with its password to another host', async () => {
    await engine.makeImage(name('a:1'), 'content');
    await engine.push(name('a:1'));
    const storage: (string | undefined)[] = [];
    registry.add((request, response) => {
      if (request.headers.host?.startsWith('localhost')) {
        storage.push(request.headers.authorization);
        return false;
      }
      if (!request.headers.authorization) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
        return true;
      }
      if (!isBlob(request)) return false;
      const port = registry.address.split(':')[1];
      response.writeHead(307, { location: `http://localhost:${port}${request.url}` }).end();
      return true;
    });
    const other = await ImagesEngine.start();
    try {
      await other.pull(name('a:1'), '', auth({ username: 'user', password: 'pass' }));
      expect(storage).toEqual([undefined, undefined]);
    } finally {
      await other[Symbol.asyncDispose]();
    }
  });
});

import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import { hostPlatform } from '#oci/platform.ts';
import type { TarEntry } from '#tar/entry.ts';
import { writeTar } from '#tar/writer.ts';
import type { LayersRef, Ref } from '#worker/build/solve/ref.ts';
import { DriversWorld, SOURCE } from './drivers-world.ts';
import { GitServer } from './git-server.ts';

let world: DriversWorld;
beforeAll(async () => {
  world = await DriversWorld.open();
});
beforeEach(() => world.begin());
afterEach(async () => expect(await world.leftovers()).toEqual([]));
afterAll(() => world[Symbol.asyncDispose]());

const source = async (identifier: string, attrs: Record<string, string> = {}): Promise<Ref> =>
  (await world.run(SOURCE(identifier, attrs)))[0]!;
const names = async (ref: Ref) => (await world.see(ref, (root) => readdir(root))).sort();

describe('a client’s directory', () => {
  it('is asked for as the op says, and kept until the build has ended', async () => {
    const root = await world.folder('client');
    world.session.directories.set('context', { root, id: 'v1' });
    const ref = await source('local://context', {
      'local.includepattern': '["a","b"]',
      'local.excludepatterns': '["c"]',
      'local.followpaths': '["d"]',
      'local.sharedkeyhint': 'hint',
    });
    expect(ref).toEqual({ kind: 'directory', root, id: 'v1', bare: true, passing: false });
    expect(world.session.requests.at(-1)).toMatchObject({
      name: 'context',
      includePatterns: ['a', 'b'],
      excludePatterns: ['c'],
      followPaths: ['d'],
      sharedKeyHint: 'hint',
    });
    expect(world.session.held).toBe(1);
    await world.end();
    expect(world.session.held).toBe(0);
    await expect(source('local://context', { 'local.followpaths': 'x' })).rejects.toMatchObject({
      kind: 'invalid',
    });
    await expect(source('ftp://x')).rejects.toMatchObject({ kind: 'unsupported' });
  });
});

describe('a repository', () => {
  let server: GitServer;
  let first: string;
  let second: string;
  beforeAll(async () => {
    server = await GitServer.open(await world.folder('repositories'));
    await server.create('module');
    await server.commit('module', { 'm.txt': 'module' });
    await server.create('repo');
    first = await server.commit('repo', { 'a.txt': '1', 'sub/b.txt': 'b' });
    await server.git('repo', 'tag', '-a', 'v1', '-m', 'one');
    second = await server.commit('repo', { 'a.txt': '2' });
    await server.git('repo', 'checkout', '--quiet', '-b', 'side');
    await server.git('repo', 'submodule', '--quiet', 'add', server.url('module'), 'mod');
    await server.commit('repo', { 'side.txt': 's' });
    await server.git('repo', 'checkout', '--quiet', 'main');
  });
  afterAll(() => server[Symbol.asyncDispose]());
  afterEach(() => world.end());

  const git = (fragment = '', attrs: Record<string, string> = {}) =>
    source(`git://127.0.0.1/repo${fragment}`, { 'git.fullurl': server.url('repo'), ...attrs });
  const resolved = async (fragment = '', attrs: Record<string, string> = {}) => {
    const op = SOURCE(`git://127.0.0.1/repo${fragment}`, { 'git.fullurl': server.url('repo'), ...attrs });
    const vertex = world.vertex(op, 0);
    return world.drivers.ops.source.cacheMap(vertex as never, world.context);
  };

  it('is checked out at a branch, a tag or a commit, as a whole or a part', async () => {
    expect(await world.read(await git(), 'a.txt')).toBe('2');
    expect(await world.read(await git('#v1'), 'a.txt')).toBe('1');
    expect(await world.read(await git(`#${first}`), 'a.txt')).toBe('1');
    expect(await world.read(await git('#refs/heads/main'), 'a.txt')).toBe('2');
    expect(await names(await git('#main:sub'))).toEqual(['b.txt']);
    expect(await names(await git())).toEqual(['a.txt', 'sub']);
    await expect(git('#nothing')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(git('#main:a.txt')).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('is known by its commit', async () => {
    expect((await resolved()).resolved).toBe(second);
    expect((await resolved('#v1')).resolved).toBe(first);
    expect((await resolved('#main')).digest).toBe((await resolved()).digest);
    expect((await resolved('#main:sub')).digest).not.toBe((await resolved()).digest);
    await expect(resolved('#main', { 'git.checksum': first })).rejects.toMatchObject({
      kind: 'invalid',
      message: `expected checksum to match ${first}, got ${second}`,
    });
    server.requests.length = 0;
    await resolved(`#${first}`);
    expect(server.requests).toEqual([]);
  });

  it('is fetched once', async () => {
    await git();
    server.requests.length = 0;
    await git();
    expect(server.requests.filter((request) => request.includes('upload-pack'))).toEqual([]);
  });

  it('comes with its submodules, unless they are not wanted', async () => {
    const ref = await git('#side');
    expect(await world.read(ref, 'mod/m.txt')).toBe('module');
    expect(await world.see(ref, (root) => readdir(join(root, 'mod')))).toEqual(['m.txt']);
    const without = await git('#side', { 'git.skipsubmodules': 'true' });
    expect(await world.see(without, (root) => readdir(join(root, 'mod')))).toEqual([]);
  });

  it('keeps its .git directory when it is asked to, of which nothing leads here', async () => {
    const ref = await git('#main', { 'git.keepgitdir': 'true' });
    const config = await world.read(ref, '.git/config');
    expect(config).toContain(server.url('repo'));
    expect(config).not.toContain(world.root);
    expect(await world.read(ref, '.git/HEAD')).toContain(second);
  });

  it('may have names of 64 digits', async () => {
    await server.create('long', '--object-format=sha256');
    const commit = await server.commit('long', { l: 'long' });
    const attrs = { 'git.fullurl': server.url('long'), 'git.keepgitdir': 'true' };
    for (const ref of ['#main', `#${commit}`]) {
      expect(await world.read(await git(ref, attrs), '.git/HEAD')).toContain(commit);
    }
  });

  it('comes from a server that knows nothing of git, too', async () => {
    await server.create('plain');
    const commit = await server.commit('plain', { p: 'plain' });
    await server.git('plain', 'tag', '-a', 'v1', '-m', 'v1');
    await server.git('plain', 'update-server-info');
    const files = createServer((request, response) => {
      const path = join(server.root, 'plain/.git', new URL(request.url!, 'http://x').pathname);
      const body = createReadStream(path);
      body.once('error', () => response.writeHead(404).end());
      body.once('open', () => body.pipe(response));
    });
    await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
    try {
      const attrs = { 'git.fullurl': `http://127.0.0.1:${(files.address() as AddressInfo).port}/` };
      expect(await world.read(await git('#main', attrs), 'p')).toBe('plain');
      const tag = await server.git('plain', 'rev-parse', 'v1');
      const kept = await git('#v1', { ...attrs, 'git.keepgitdir': 'true', 'git.checksum': tag });
      expect(await world.read(kept, '.git/HEAD')).toContain(commit);
    } finally {
      files.closeAllConnections();
      files.close();
    }
  });

  it('is as old as its commit when it is asked to be', async () => {
    const ref = await git('#main', { 'git.mtime': 'commit' });
    const { mtime } = await world.see(ref, (root) => stat(join(root, 'sub/b.txt')));
    expect(mtime.toISOString()).toBe('2024-05-06T07:08:09.000Z');
  });

  it('is reached with a client’s token', async () => {
    server.authorization = `basic ${Buffer.from('x-access-token:s3cret').toString('base64')}`;
    try {
      const attrs = { 'git.authtokensecret': 'GIT_AUTH_TOKEN', 'git.fullurl': server.url('module') };
      await expect(git('', attrs)).rejects.toMatchObject({ kind: 'unavailable' });
      world.session.secrets.set('GIT_AUTH_TOKEN', 's3cret\n');
      expect(await world.read(await git('', attrs), 'm.txt')).toBe('module');
    } finally {
      server.authorization = undefined;
    }
  });

  it('runs nothing of its own, and leads nowhere else', async () => {
    await server.create('hostile');
    const marker = join(world.root, 'ran');
    await server.commit('hostile', {
      '.gitmodules': `[submodule "x"]\n\tpath = x\n\turl = file://${server.root}/module\n\tupdate = !touch ${marker}\n`,
      '.gitattributes': '* filter=evil\n',
      a: 'a',
    });
    await git('', { 'git.fullurl': server.url('hostile') }).catch(() => undefined);
    await expect(stat(marker)).rejects.toThrow();
    for (const url of [
      'file:///etc',
      'ext::sh -c id',
      '--upload-pack=id',
      'http://-oProxyCommand=x/',
      '/etc',
    ]) {
      await expect(git('', { 'git.fullurl': url })).rejects.toMatchObject({
        kind: expect.stringMatching(/^(invalid|unavailable|not-found)$/),
      });
    }
    await expect(git('#--upload-pack=touch')).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('a download', () => {
  const requests: IncomingMessage[] = [];
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  let url: string;
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    requests.length = 0;
    answer = (request, response) => {
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
      else
        response
          .writeHead(200, { etag: '"1"', 'last-modified': 'Mon, 06 May 2024 07:08:09 GMT' })
          .end('content');
    };
  });
  afterEach(() => world.end());
  afterAll(() => server.close());

  /** One of another client, which hears of nothing that was asked before. */
  async function nextBuild(): Promise<void> {
    await world.end();
    world.connectAnew();
    requests.length = 0;
  }

  it('is a file, named, dated and owned as was asked', async () => {
    const attrs = { 'http.filename': 'named', 'http.perm': '0640', 'http.uid': '3', 'http.gid': '4' };
    const ref = await source(`${url}/some/file.bin?x`, attrs);
    expect(await world.list(ref, '%P %m %U:%G %TY\\n')).toEqual(['named 640 3:4 2024']);
    expect(await world.list(await source(`${url}/some/file.bin?x`), '%P %m %U:%G\\n')).toEqual([
      'file.bin 600 0:0',
    ]);
  });

  it('is asked for once by a build', async () => {
    await source(`${url}/once`);
    await source(`${url}/once`);
    expect(requests).toHaveLength(1);
  });

  it('is asked for again only whether it has changed', async () => {
    await source(`${url}/cached`);
    await nextBuild();
    expect(await world.read(await source(`${url}/cached`), 'cached')).toBe('content');
    expect(requests.map(({ method, headers }) => [method, headers['if-none-match']])).toEqual([
      ['HEAD', '"1"'],
    ]);
    await nextBuild();
    answer = (_, response) => response.writeHead(200, { etag: '"2"' }).end('new');
    expect(await world.read(await source(`${url}/cached`), 'cached')).toBe('new');
    await nextBuild();
    // A server that knows no HEAD, but conditions.
    answer = ({ method }, response) => response.writeHead(method === 'HEAD' ? 405 : 304).end();
    expect(await world.read(await source(`${url}/cached`), 'cached')).toBe('new');
  });

  it('is what it was before the server compressed it', async () => {
    answer = (_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('content'));
    expect(await world.read(await source(`${url}/packed`), 'packed')).toBe('content');
    answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('not at all');
    await expect(source(`${url}/broken`)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('is asked for with the secret that is named after the server', async () => {
    world.session.secrets.set('HTTP_AUTH_TOKEN_127.0.0.1', 'abc');
    await source(`${url}/token`);
    world.session.secrets.set('HTTP_AUTH_HEADER_127.0.0.1', 'Basic x');
    await source(`${url}/header`);
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer abc', 'Basic x']);
    await nextBuild();
    await source(`${url}/nothing`);
    expect(requests[0]!.headers.authorization).toBeUndefined();
  });

  it('has to be what its checksum says, and is then known without being asked for', async () => {
    const checksum = digestOf('content');
    const op = SOURCE(`${url}/sum`, { 'http.checksum': checksum });
    const map = await world.drivers.ops.source.cacheMap(world.vertex(op, 0) as never, world.context);
    expect(map.resolved).toBe(checksum);
    expect(requests).toEqual([]);
    await source(op.identifier, op.attrs);
    await source(op.identifier, op.attrs);
    expect(requests).toHaveLength(1);
    const wrong = digestOf('other');
    await expect(source(`${url}/sum`, { 'http.checksum': wrong })).rejects.toMatchObject({
      kind: 'invalid',
      message: `digest mismatch for ${url}/sum: ${checksum} (expected: ${wrong})`,
    });
  });

  it('follows redirects, with credentials for the first server alone', async () => {
    const other = createServer((request, response) => response.end(request.headers.authorization ?? 'none'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const location = `http://127.0.0.1:${(other.address() as AddressInfo).port}/there`;
    answer = (_, response) => response.writeHead(302, { location }).end();
    world.session.secrets.set('HEADER', 'Bearer x');
    try {
      const ref = await source(`${url}/moved`, { 'http.authheadersecret': 'HEADER' });
      expect(await world.read(ref, 'moved')).toBe('none');
      expect(requests[0]!.headers.authorization).toBe('Bearer x');
      answer = (_, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end();
      await expect(source(`${url}/file`)).rejects.toMatchObject({ kind: 'invalid' });
      answer = (_, response) => response.writeHead(302, { location: '/loop' }).end();
      await expect(source(`${url}/loop`)).rejects.toMatchObject({ kind: 'invalid' });
    } finally {
      other.close();
    }
  });

  it('says what the server said, and keeps nothing of a broken one', async () => {
    answer = (_, response) => response.writeHead(404).end();
    await expect(source(`${url}/none`)).rejects.toMatchObject({
      kind: 'invalid',
      message: `invalid response status 404 for ${url}/none`,
    });
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half');
      setTimeout(() => response.destroy(), 20);
    };
    await expect(source(`${url}/half`)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('is refused from where builds may not go, also by name and by redirect', async () => {
    await using strict = await DriversWorld.open({ drivers: { refusedNetworks: ['internal'] } });
    const { port } = new URL(url);
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '0x7f.1']) {
      const asking = strict.run(SOURCE(`http://${host}:${port}/x`));
      await expect(asking).rejects.toMatchObject({ kind: 'forbidden' });
    }
    const attrs = { 'git.fullurl': `http://localhost:${port}/x` };
    await expect(strict.run(SOURCE('git://localhost/x', attrs))).rejects.toMatchObject({ kind: 'forbidden' });
    expect(requests).toEqual([]);
  });

  it('is refused from there by way of a server that may be asked', async () => {
    await using strict = await DriversWorld.open({ drivers: { refusedNetworks: ['127.0.0.2/32'] } });
    const { port } = new URL(url);
    answer = (_, response) => response.writeHead(302, { location: `http://127.0.0.2:${port}/x` }).end();
    await expect(strict.run(SOURCE(`${url}/moved`))).rejects.toMatchObject({ kind: 'forbidden' });
    expect(requests).toHaveLength(1);
  });
});

describe('an image', () => {
  const blobs = new Map<string, Uint8Array>();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url!);
    const name = request.url!.split('/').at(-1)!;
    const bytes = blobs.get(name);
    if (!bytes) return void response.writeHead(404).end('{}');
    const type = request.url!.includes('/manifests/')
      ? 'application/vnd.oci.image.manifest.v1+json'
      : 'application/octet-stream';
    response.writeHead(200, { 'content-type': type }).end(bytes);
  });
  let registry: string;
  let manifest: Digest;
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    registry = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const layers = [await layer('bottom', '1'), await layer('top', '2')];
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
    manifest = digestOf(document);
    blobs.set('latest', document).set(manifest, document);
  });
  afterAll(() => server.close());

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
    const options = { platform: hostPlatform(), mode: 'default', ...world.context } as const;
    const resolved = await world.drivers.images.resolve(`${registry}/lazy`, options);
    expect(resolved).toMatchObject({ reference: `${registry}/lazy:latest@${manifest}`, digest: manifest });
    const ref = (await source(`docker-image://${registry}/lazy:latest@${manifest}`)) as LayersRef;
    expect(ref.layers.map(({ remote }) => remote?.descriptor.size)).toHaveLength(2);
    expect(asked.filter((path) => path.includes('/blobs/'))).toHaveLength(1);
    expect(asked.filter((path) => path.includes('/manifests/'))).toHaveLength(1);
    const before = world.reused;
    const [merged] = (await world.run({ kind: 'merge' }, [await world.busybox(), ref])) as LayersRef[];
    expect(asked.filter((path) => path.includes('/blobs/'))).toHaveLength(1);
    expect(await world.ask(merged!, 'cat /bottom /top')).toBe('12');
    expect(asked.filter((path) => path.includes('/blobs/'))).toHaveLength(3);
    expect(await names(ref)).toEqual(['bottom', 'top']);
    await source(`docker-image://${registry}/lazy:latest@${manifest}`);
    expect(world.reused).toBeGreaterThan(before);
    // Its layers were on another stack first, and were not brought again.
    expect(asked.filter((path) => path.includes('/blobs/'))).toHaveLength(3);
  });

  it('is looked for here first, unless it is to be pulled', async () => {
    const options = { platform: hostPlatform(), ...world.context };
    const local = await world.drivers.images.resolve('busybox', { ...options, mode: 'default' });
    expect(local.digest).toMatch(/^sha256:/);
    expect(await world.drivers.images.resolve(local.reference, { ...options, mode: 'local' })).toMatchObject({
      digest: local.digest,
    });
    await expect(
      world.drivers.images.resolve(`${registry}/none:gone`, { ...options, mode: 'pull' }),
    ).rejects.toMatchObject({
      kind: 'not-found',
    });
  });

  it('is of a client’s store, whatever that says', async () => {
    const store = new Map(blobs);
    world.session.stores.set('oci:mine', store);
    const attrs = { 'oci.store': 'mine', 'oci.session': world.session.id };
    const [bottom] = ((await source(`oci-layout://mine@${manifest}`, attrs)) as LayersRef).layers;
    expect(bottom!.remote!.descriptor.size).toBeGreaterThan(0);
    await expect(source('oci-layout://mine:tag', attrs)).rejects.toMatchObject({ kind: 'invalid' });
    const wrong = digestOf('something else');
    store.set(wrong, Buffer.from('{"schemaVersion":2}'));
    await expect(source(`oci-layout://mine@${wrong}`, attrs)).rejects.toMatchObject({ kind: 'invalid' });
  });
});

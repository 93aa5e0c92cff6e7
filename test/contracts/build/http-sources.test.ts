import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { DriversWorld, SOURCE } from './drivers-world.ts';
import { sourcesWorld } from './sources-world.ts';

const on = sourcesWorld();
const { source } = on;

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
  afterEach(() => on.world.end());
  afterAll(() => server.close());

  /** One of another client, which hears of nothing that was asked before. */
  async function nextBuild(): Promise<void> {
    await on.world.end();
    on.world.connectAnew();
    requests.length = 0;
  }

  it('is a file, named, dated and owned as was asked', async () => {
    const attrs = { 'http.filename': 'named', 'http.perm': '0640', 'http.uid': '3', 'http.gid': '4' };
    const ref = await source(`${url}/some/file.bin?x`, attrs);
    expect(await on.world.list(ref, '%P %m %U:%G %TY\\n')).toEqual(['named 640 3:4 2024']);
    expect(await on.world.list(await source(`${url}/some/file.bin?x`), '%P %m %U:%G\\n')).toEqual([
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
    expect(await on.world.read(await source(`${url}/cached`), 'cached')).toBe('content');
    expect(requests.map(({ method, headers }) => [method, headers['if-none-match']])).toEqual([
      ['HEAD', '"1"'],
    ]);
    await nextBuild();
    answer = (_, response) => response.writeHead(200, { etag: '"2"' }).end('new');
    expect(await on.world.read(await source(`${url}/cached`), 'cached')).toBe('new');
    await nextBuild();
    // A server that knows no HEAD, but conditions.
    answer = ({ method }, response) => response.writeHead(method === 'HEAD' ? 405 : 304).end();
    expect(await on.world.read(await source(`${url}/cached`), 'cached')).toBe('new');
  });

  it('is what it was before the server compressed it', async () => {
    answer = (_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('content'));
    expect(await on.world.read(await source(`${url}/packed`), 'packed')).toBe('content');
    answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('not at all');
    await expect(source(`${url}/broken`)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('is asked for with the secret that is named after the server', async () => {
    on.world.session.secrets.set('HTTP_AUTH_TOKEN_127.0.0.1', 'abc');
    await source(`${url}/token`);
    on.world.session.secrets.set('HTTP_AUTH_HEADER_127.0.0.1', 'Basic x');
    await source(`${url}/header`);
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer abc', 'Basic x']);
    await nextBuild();
    await source(`${url}/nothing`);
    expect(requests[0]!.headers.authorization).toBeUndefined();
  });

  it('has to be what its checksum says, and is then known without being asked for', async () => {
    const checksum = digestOf('content');
    const op = SOURCE(`${url}/sum`, { 'http.checksum': checksum });
    const map = await on.world.drivers.ops.source.cacheMap(on.world.vertex(op, 0) as never, on.world.context);
    expect(map.resolved).toBe(checksum);
    expect(requests).toEqual([]);
    await source(op.identifier, op.attrs);
    await source(op.identifier, op.attrs);
    expect(requests).toHaveLength(1);
    const wrong = digestOf('other');
    await expect(source(`${url}/sum`, { 'http.checksum': wrong })).rejects.toMatchObject({
      kind: 'invalid',
      message: `digest mismatch ${checksum}: ${wrong}`,
    });
  });

  it('follows redirects, with credentials for the first server alone', async () => {
    const other = createServer((request, response) => response.end(request.headers.authorization ?? 'none'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const location = `http://127.0.0.1:${(other.address() as AddressInfo).port}/there`;
    answer = (_, response) => response.writeHead(302, { location }).end();
    on.world.session.secrets.set('HEADER', 'Bearer x');
    try {
      const ref = await source(`${url}/moved`, { 'http.authheadersecret': 'HEADER' });
      expect(await on.world.read(ref, 'moved')).toBe('none');
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
      message: 'invalid response status 404',
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

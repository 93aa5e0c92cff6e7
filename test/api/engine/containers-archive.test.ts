import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTar } from '#tar/reader.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';
import { ContainerEngine } from './container-engine.ts';
import { create, createAndStart, run } from './engine-client.ts';

let engine: ContainerEngine;
beforeAll(async () => {
  engine = await ContainerEngine.start();
});
afterAll(() => engine[Symbol.asyncDispose]());

async function send(method: string, path: string, body?: Uint8Array) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    stat?: string;
    bytes: Buffer;
  }>();
  const request = httpRequest({ socketPath: engine.socket, method, path: `/v1.51${path}` }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => {
      const stat = response.headers['x-docker-container-path-stat'] as string | undefined;
      resolve({ status: response.statusCode!, bytes: Buffer.concat(chunks), ...(stat && { stat }) });
    });
  });
  request.on('error', reject);
  request.end(body);
  const reply = await promise;
  return { ...reply, stat: reply.stat && JSON.parse(Buffer.from(reply.stat, 'base64').toString('utf8')) };
}

async function files(bytes: Buffer): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { entry, body } of readTar(Readable.from([bytes]))) {
    const content: Uint8Array[] = [];
    for await (const chunk of body) content.push(chunk);
    found[entry.path] = entry.linkPath || Buffer.concat(content).toString('utf8');
  }
  return found;
}

async function tarOf(paths: Record<string, string>): Promise<Buffer> {
  const inputs: TarInput[] = Object.entries(paths).map(([path, content]) => ({
    entry: { path, type: 'file', mode: 0o600, uid: 12, gid: 34, size: content.length, mtime: 1_600_000_000 },
    body: [Buffer.from(content)],
  }));
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeTar(inputs)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe.each(['running', 'stopped'])('a %s container’s files', (state) => {
  let id: string;
  beforeAll(async () => {
    const config = { Cmd: ['sleep', '1000'], HostConfig: { Binds: [`cp-${state}:/data`] } };
    id = state === 'running' ? await createAndStart(engine, config) : await create(engine, config);
  });

  it('go in and come out, volumes included', async () => {
    for (const directory of ['/tmp', '/data']) {
      const put = await send(
        'PUT',
        `/containers/${id}/archive?path=${directory}`,
        gzipSync(await tarOf({ 'sub/x': 'content' })),
      );
      expect(put.status).toBe(200);
      const { status, stat, bytes } = await send('GET', `/containers/${id}/archive?path=${directory}/sub`);
      expect(status).toBe(200);
      expect(stat).toMatchObject({ name: 'sub', linkTarget: '' });
      expect(await files(bytes)).toEqual({ 'sub/': '', 'sub/x': 'content' });
    }
    const { stat } = await send('HEAD', `/containers/${id}/archive?path=/data/sub/x`);
    expect(stat).toMatchObject({ name: 'x', size: 7, mode: 0o600, mtime: '2020-09-13T12:26:40Z' });
  });

  it('that do not exist are not found', async () => {
    expect((await send('HEAD', `/containers/${id}/archive?path=/nope`)).status).toBe(404);
    expect((await send('GET', `/containers/${id}/archive?path=/nope/deeper`)).status).toBe(404);
    expect((await send('PUT', `/containers/${id}/archive?path=/nope`, await tarOf({ x: 'y' }))).status).toBe(
      404,
    );
    expect(
      (await send('PUT', `/containers/${id}/archive?path=/etc/passwd`, await tarOf({ x: 'y' }))).status,
    ).toBe(400);
    expect((await send('GET', `/containers/${id}/archive`)).status).toBe(400);
  });
});

it('changes, export and commit show the container’s own doing only', async () => {
  const { id } = await run(
    engine,
    'echo data > /root/made; rm /etc/group; echo "x:x:0:0::/:" >> /etc/passwd',
  );
  const changes = (await engine.request('GET', `/containers/${id}/changes`)).json;
  expect(changes).toEqual([
    { Path: '/etc', Kind: 0 },
    { Path: '/etc/group', Kind: 2 },
    { Path: '/etc/passwd', Kind: 0 },
    { Path: '/root', Kind: 0 },
    { Path: '/root/made', Kind: 1 },
  ]);
  const exported = await files((await send('GET', `/containers/${id}/export`)).bytes);
  expect(exported['root/made']).toBe('data\n');
  expect(exported['etc/group']).toBeUndefined();
  const commit = await engine.request('POST', `/commit?container=${id}&repo=made&tag=1&comment=c&author=me`);
  expect(commit.status).toBe(201);
  const image = await engine.images.store.resolve('made:1');
  expect(image.id).toBe(commit.json.Id);
  expect(image.config).toMatchObject({ author: 'me', config: { Cmd: ['sh', '-c', expect.any(String)] } });
  const second = await run(engine, 'cat /root/made; ls /etc/group', { Image: 'made:1' });
  expect(second.stdout).toBe('data\n');
  expect(second.code).toBe(1);
});

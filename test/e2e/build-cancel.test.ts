import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { hostPlatform } from '#oci/platform.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildLeftovers } from './harness/build-leftovers.ts';
import { type Attack, attack, type Tricks } from './harness/hostile-client.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/**
 * Builds that wait for a server which has stopped in the middle of its answer are over as soon as they are cancelled, and
 * the server is left.
 */

let slipway: Slipway;
let server: StuckServer;
let running: Attack | undefined;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  await slipway.dockerOk('load', '-i', await busyboxArchive());
  server = await StuckServer.open();
});
afterEach(async () => {
  running?.vanish();
  await expect.poll(() => buildLeftovers(slipway), { timeout: 60_000 }).toEqual([]);
});
afterAll(async () => {
  server?.close();
  await slipway?.[Symbol.asyncDispose]();
});

const LAYER = 'FROM busybox\nRUN head -c 30000000 /dev/urandom > /large\n';

it.each<[string, RegExp, (address: string) => Tricks]>([
  [
    'a download is to begin',
    /^GET \/mute/,
    (at) => ({ dockerfile: `FROM scratch\nADD http://${at}/mute /\n` }),
  ],
  [
    'a download is under way',
    /^GET \/half/,
    (at) => ({ dockerfile: `FROM scratch\nADD http://${at}/half /\n` }),
  ],
  [
    'its context is downloaded',
    /^GET \/half/,
    (at) => ({ dockerfile: '', options: { context: `http://${at}/half.tar` } }),
  ],
  [
    'a repository is asked for its refs',
    /^GET \/repo\.git\/info\/refs/,
    (at) => ({ dockerfile: `FROM scratch\nADD http://${at}/repo.git /\n` }),
  ],
  [
    'a repository is its context',
    /^GET \/repo\.git\/info\/refs/,
    (at) => ({ dockerfile: '', options: { context: `http://${at}/repo.git#main` } }),
  ],
  ['an image is asked for', /^(?:GET|HEAD) \/v2\/mute/, (at) => ({ dockerfile: `FROM ${at}/mute\n` })],
  [
    'the layer of an image is under way',
    /^GET \/v2\/image\/blobs\/sha256:0/,
    (at) => ({ dockerfile: `FROM ${at}/image\nRUN true\n` }),
  ],
  [
    'a layer is pushed',
    /^(?:PATCH|PUT) \/upload/,
    (at) => ({ dockerfile: LAYER, exporter: pushed(`${at}/image`) }),
  ],
  [
    'a registry is asked what it has',
    /^HEAD \/v2\/mute\/blobs/,
    (at) => ({ dockerfile: LAYER, exporter: pushed(`${at}/mute`) }),
  ],
  [
    'its cache is sent',
    /^\w+ \/v2\/mute/,
    (at) => ({ dockerfile: LAYER, cache: { exports: [registry(`${at}/mute`)] } }),
  ],
  [
    'a cache is looked at',
    /^\w+ \/v2\/mute/,
    (at) => ({ dockerfile: LAYER, cache: { imports: [registry(`${at}/mute`)] } }),
  ],
])('while %s', async (_what, request, tricks) => {
  const seen = server.request(request);
  running = await attack(slipway.socket, tricks(server.address));
  const failed = running.over.then((error) => Promise.reject(error ?? new Error('it has succeeded')));
  failed.catch(() => undefined);
  const { closed } = await Promise.race([seen, failed]);
  running.cancel();
  expect(String(await running.over)).toMatch(/cancel/);
  await closed;
});

function pushed(name: string): Tricks['exporter'] {
  return { type: 'image', attrs: { name, push: 'true' } };
}

function registry(ref: string) {
  return { type: 'registry', attrs: { ref, mode: 'max' } };
}

/** Serves an image, takes uploads, and gets stuck: never answers, or stops after half of an answer or a request. */
class StuckServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting: { pattern: RegExp; resolve: (seen: { closed: Promise<unknown> }) => void }[] = [];

  static async open(): Promise<StuckServer> {
    const stuck = new StuckServer();
    stuck.#server.listen(0, '127.0.0.1');
    await once(stuck.#server, 'listening');
    return stuck;
  }

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket));
    });
  }

  get address(): string {
    const address = this.#server.address();
    return `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  }

  /** Resolves when such a request has come; `closed` when the client has left it. */
  request(pattern: RegExp): Promise<{ closed: Promise<unknown> }> {
    return new Promise((resolve) => {
      this.#waiting.push({ pattern, resolve });
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method, url = '' } = request;
    const closed = once(response, 'close');
    const stuck = () => {
      const at = this.#waiting.findIndex(({ pattern }) => pattern.test(`${method} ${url}`));
      if (at >= 0) this.#waiting.splice(at, 1)[0]!.resolve({ closed });
    };
    const document = documents.get(url.split('/').at(-1)!);
    if (url === '/v2/') response.end();
    else if (url.startsWith('/half') || url.includes('/blobs/sha256:0')) {
      response.writeHead(200, { 'content-length': '1000000' });
      response.write(Buffer.alloc(500_000), stuck);
    } else if (url.startsWith('/v2/image/') && document) {
      response.setHeader('content-type', document.mediaType);
      response.end(document.bytes);
    } else if (url.startsWith('/v2/image/blobs/') && method === 'HEAD') response.writeHead(404).end();
    else if (url.startsWith('/v2/image/blobs/uploads') && method === 'POST') {
      response.writeHead(202, { location: '/upload' }).end();
    } else stuck();
    // Of a request's body no more is read than what has come by itself.
  }
}

const config = JSON.stringify({
  os: 'linux',
  architecture: hostPlatform().architecture,
  rootfs: { type: 'layers', diff_ids: [`sha256:${'1'.repeat(64)}`] },
});
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.ociManifest,
  config: { mediaType: MEDIA_TYPE.ociConfig, digest: digestOf(config), size: config.length },
  layers: [{ mediaType: MEDIA_TYPE.ociLayerGzip, digest: `sha256:${'0'.repeat(64)}`, size: 1_000_000 }],
});
const documents = new Map([
  [digestOf(config), { mediaType: MEDIA_TYPE.ociConfig, bytes: config }],
  [digestOf(manifest), { mediaType: MEDIA_TYPE.ociManifest, bytes: manifest }],
  ['latest', { mediaType: MEDIA_TYPE.ociManifest, bytes: manifest }],
]);

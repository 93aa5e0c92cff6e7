import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HttpTransport } from '#distribution/http-transport.ts';
import { Pusher } from '#distribution/pusher.ts';
import { RepositoryClient } from '#distribution/repository-client.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';

const PIECE = 1024 * 1024;

let server: Server;
let transport: HttpTransport;
let pusher: Pusher;
let listener: RequestListener;
const received = createHash('sha256');

beforeEach(async () => {
  server = createServer((request, response) => listener(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  transport = new HttpTransport();
  const repository = 'team/app' as RepositoryName;
  pusher = new Pusher(new RepositoryClient(transport, { origin, repository, actions: 'pull,push' }));
});

afterEach(async () => {
  transport[Symbol.dispose]();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

/** Begins uploads; what comes after that is `patch`'s. */
function answering(patch: RequestListener): RequestListener {
  return (request, response) => {
    const location = '/v2/team/app/blobs/uploads/1';
    if (request.method === 'POST') response.writeHead(202, { location }).end();
    else if (request.method === 'PUT') response.writeHead(201).end();
    else patch(request, response);
  };
}

async function read(request: IncomingMessage): Promise<void> {
  for await (const chunk of request) received.update(chunk);
}

it('sends a blob while it is made, and frees each piece when it is sent', async () => {
  listener = answering((request, response) => {
    void read(request).then(() =>
      response.writeHead(202, { location: '/v2/team/app/blobs/uploads/2' }).end(),
    );
  });
  const expected = createHash('sha256');
  const pieces: Uint8Array[] = [];
  const upload = await pusher.beginBlob();
  for (let i = 0; i < 12; i++) {
    const piece = new Uint8Array(randomBytes(PIECE));
    expected.update(piece);
    pieces.push(piece);
    await upload.write(piece);
  }
  await upload.commit(digestOf('whatever'));
  expect(received.digest('hex')).toBe(expected.digest('hex'));
  expect(pieces.map(({ length }) => length)).toEqual(pieces.map(() => 0));
  expect(upload.backlog).toBe(0);
});

it('leaves memory alone that a piece shares with others', async () => {
  listener = answering((request, response) => {
    request
      .resume()
      .on('end', () => response.writeHead(202, { location: '/v2/team/app/blobs/uploads/2' }).end());
  });
  const upload = await pusher.beginBlob();
  const whole = new Uint8Array(2 * PIECE).fill(7);
  await upload.write(whole.subarray(0, PIECE));
  await upload.commit(digestOf('whatever'));
  expect(whole[0]).toBe(7);
});

it('does not hold up its maker when the registry refuses the blob half-way', async () => {
  listener = answering((request, response) => {
    request.once('data', () => response.writeHead(413, { connection: 'close' }).end());
  });
  const upload = await pusher.beginBlob();
  const writing = async () => {
    for (;;) await upload.write(new Uint8Array(PIECE));
  };
  await expect(writing()).rejects.toThrow();
});

it('does not hold up its maker when the connection breaks', async () => {
  listener = answering((request) => void request.once('data', () => request.destroy()));
  const upload = await pusher.beginBlob();
  const writing = async () => {
    for (;;) await upload.write(new Uint8Array(PIECE));
  };
  await expect(writing()).rejects.toThrow(/Patch "/);
});

it('does not hold up its maker when it is given up', async () => {
  // Reads nothing.
  listener = answering(() => undefined);
  const upload = await pusher.beginBlob();
  const writing = async () => {
    for (;;) await upload.write(new Uint8Array(PIECE));
  };
  const failed = expect(writing()).rejects.toThrow();
  await expect.poll(() => upload.backlog).toBeGreaterThan(4 * PIECE);
  upload.abort();
  await failed;
  expect(upload.backlog).toBe(0);
});

it('ends the source of a body whose request fails, and fails as the source does', async () => {
  const left = Promise.withResolvers<void>();
  const blob = { digest: digestOf('x') as Digest, size: 1e9 };
  listener = (request, response) => {
    if (request.method === 'POST')
      response.writeHead(202, { location: '/v2/team/app/blobs/uploads/1' }).end();
    else request.once('data', () => request.destroy());
  };
  const abort = new AbortController();
  const endless = async function* () {
    try {
      for (;;) yield new Uint8Array(PIECE);
    } finally {
      left.resolve();
      abort.abort();
    }
  };
  await expect(pusher.putBlob(blob, endless, { signal: abort.signal })).rejects.toThrow();
  await left.promise;
  const broken = async function* () {
    yield new Uint8Array(10);
    throw new TypeError('the disk broke');
  };
  await expect(pusher.putBlob(blob, broken)).rejects.toThrow('the disk broke');
});

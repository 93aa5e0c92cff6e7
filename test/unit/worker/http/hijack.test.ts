import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { conflict } from '#errors/errors.ts';
import { readJson } from '#worker/http/body.ts';
import { frame, hijack, lineFrames } from '#worker/http/hijack.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';

let server: Server;
let socket: Socket;

beforeEach(async () => {
  const router = createEngineRouter();
  router.post('/echo', async (ctx) => {
    const body = (await readJson(ctx)) as { greeting?: string } | undefined;
    const stream = await hijack(ctx, { contentType: 'application/vnd.docker.raw-stream' });
    if (body?.greeting) stream.write(body.greeting);
    // The output is written only after the input has ended: a half-close must not close the other direction.
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    stream.end(Buffer.concat(chunks));
  });
  router.post('/refuse', () => {
    throw conflict('already there');
  });
  server = createEngineServer(router, pino({ level: 'silent' }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
});

afterEach(async () => {
  socket.destroy();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const UPGRADE = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n';

describe('hijack', () => {
  it('answers 101 and carries raw bytes both ways, half-close kept', async () => {
    socket.write(`POST /v1.51/echo HTTP/1.1\r\n${UPGRADE}\r\n`);
    await once(socket, 'readable');
    socket.end('hello');
    const reply = await readAll();
    expect(reply).toMatch(/^HTTP\/1\.1 101 UPGRADED\r\n/);
    expect(reply).toMatch(/\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello$/);
  });

  it('reads a JSON body in front of the raw stream, in one packet or byte by byte', async () => {
    const body = '{"greeting":"hi "}';
    const request = `POST /echo HTTP/1.1\r\n${UPGRADE}Content-Length: ${body.length}\r\n\r\n${body}there`;
    for (const byte of request) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.end();
    expect(await readAll()).toMatch(/\r\n\r\nhi there$/);
  });

  it('reads a JSON body that came with the headers', async () => {
    const body = '{"greeting":"hi "}';
    socket.end(`POST /echo HTTP/1.1\r\n${UPGRADE}Content-Length: ${body.length}\r\n\r\n${body}there`);
    expect(await readAll()).toMatch(/\r\n\r\nhi there$/);
  });

  it('answers 200 to a client that did not ask for an upgrade', async () => {
    socket.end('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    const reply = await readAll();
    expect(reply).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(reply).not.toMatch(/chunked/i);
  });

  it('answers an upgrade that fails with an ordinary error', async () => {
    socket.write(`POST /refuse HTTP/1.1\r\n${UPGRADE}\r\n`);
    const reply = await readAll();
    expect(reply).toMatch(/^HTTP\/1\.1 409 Conflict\r\n/);
    expect(reply).toContain('\r\nContent-Type: application/json\r\n');
    expect(reply).toContain('{"message":"already there"}');
  });

  it('refuses versions it does not speak', async () => {
    socket.end('POST /v1.99/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(await readAll()).toContain('client version 1.99 is too new');
  });
});

describe('frame', () => {
  it('puts the stream and a big-endian length before the bytes', () => {
    expect([...frame(2, Buffer.from('ab'))]).toEqual([2, 0, 0, 0, 0, 0, 0, 2, 97, 98]);
  });
});

describe('lineFrames', () => {
  it.each([
    ['lines', 'a\nbc\n', ['a\n', 'bc\n']],
    ['a rest without a newline', 'a\nb', ['a\n', 'b']],
    ['empty lines', '\n\n', ['\n', '\n']],
    ['nothing', '', []],
  ])('makes a frame each of %s', (_, text, lines) => {
    const expected = Buffer.concat(lines.map((line) => frame(1, Buffer.from(line))));
    expect(lineFrames(1, Buffer.from(text))).toEqual(expected);
  });
});

import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import Koa, { type Context } from 'koa';
import { expect, it } from 'vitest';
import { isKind, SlipwayError } from '#errors/errors.ts';
import { BodyMemory } from '#registry/http/body-memory.ts';
import { letGoOfBody, readBody, type WholeBodyOptions } from '#registry/http/request-body.ts';

/** What a server that reads whole bodies answers to what is written to its socket: the body, or the kind of error. */
async function serve(
  options: WholeBodyOptions,
): Promise<AsyncDisposable & { ask(text: string): Promise<string> }> {
  const app = new Koa();
  app.silent = true;
  app.use(async (ctx: Context) => {
    ctx.body = await readBody(ctx, 100, options).then(
      (bytes) => `[${Buffer.from(bytes)}]`,
      (error: unknown) => (error instanceof SlipwayError ? error.kind : String(error)),
    );
    letGoOfBody(ctx);
  });
  const server = createServer(app.callback());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ask: (text) =>
      new Promise((resolve, reject) => {
        const socket = connect(port, '127.0.0.1');
        let received = '';
        socket.on('data', (data) => {
          received += data;
          const body = /\r\n\r\n(.+)$/s.exec(received)?.[1];
          if (body === undefined) return;
          socket.destroy();
          resolve(body);
        });
        socket.once('error', reject);
        socket.write(text);
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const put = (length: number, body: string) =>
  `PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${body}`;

it('reads a body in pieces, and one of nothing', async () => {
  await using server = await serve({});
  expect(await server.ask(put(3, 'abc'))).toBe('[abc]');
  const chunked = 'PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
  expect(await server.ask(`${chunked}1\r\na\r\n1\r\nb\r\n0\r\n\r\n`)).toBe('[ab]');
  expect(await server.ask(put(0, ''))).toBe('[]');
});

it('does not wait for ever for one that does not come', async () => {
  const memory = new BodyMemory(100);
  await using server = await serve({ timeout: 50, memory });
  expect(await server.ask(put(3, 'ab'))).toBe('timeout');
  expect(() => memory.take(100)).not.toThrow();
});

it('refuses what is larger than it may be, announced or not', async () => {
  await using server = await serve({});
  expect(await server.ask(put(101, 'a'))).toBe('too-large');
  const chunked = 'PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
  expect(await server.ask(`${chunked}65\r\n${'a'.repeat(101)}\r\n0\r\n\r\n`)).toBe('too-large');
});

it('lets many bodies have so much memory and no more, and again when they went', async () => {
  const memory = new BodyMemory(10);
  await using server = await serve({ memory });
  expect(await server.ask(put(11, 'a'.repeat(11)))).toBe('too-many');
  for (let round = 0; round < 3; round++)
    expect(await server.ask(put(10, 'a'.repeat(10)))).toBe('[aaaaaaaaaa]');
});

it('says that a sender went away', async () => {
  const kinds: unknown[] = [];
  const app = new Koa();
  app.silent = true;
  const asked = Promise.withResolvers<void>();
  app.use(async (ctx: Context) => {
    await readBody(ctx, 100).catch((error: unknown) => kinds.push(isKind(error, 'canceled')));
    asked.resolve();
  });
  const server = createServer(app.callback());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(put(3, 'a'), () => socket.destroy());
  await asked.promise;
  expect(kinds).toEqual([true]);
  await new Promise((resolve) => server.close(resolve));
});

import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { begin, errorCode, json } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

function open(): Socket {
  const [host, port] = registry.address.split(':');
  return connect({ host, port: Number(port) });
}

/** What came on a socket until it has `pattern`. */
function until(socket: Socket, pattern: RegExp): Promise<string> {
  let received = '';
  return new Promise((resolve, reject) => {
    socket.on('data', (data) => {
      received += data.toString('latin1');
      if (pattern.test(received)) resolve(received);
    });
    socket.once('close', () => reject(new Error(`closed after ${JSON.stringify(received)}`)));
    socket.once('error', reject);
  });
}

it.each(['/', '/v1/', '/v2/a', '/v2/a/unknown/b', '/v2/../../etc/passwd', '//v2//', '/metrics'])(
  'does not know %s',
  async (path) => {
    const answer = await registry.client.send('GET', path);
    expect(answer.status).toBe(404);
    expect(errorCode(answer)).toBe('NAME_UNKNOWN');
  },
);

it('says which methods there are', async () => {
  const answer = await registry.client.send('POST', '/v2/a/manifests/v1');
  expect([answer.status, errorCode(answer)]).toEqual([405, 'UNSUPPORTED']);
  expect(answer.headers.allow?.split(', ').sort()).toEqual(['DELETE', 'GET', 'HEAD', 'PUT']);
});

it.each([
  ['PUT', '/v2/a/manifests/.no', 400],
  ['PUT', '/v2/a/manifests/v1', 413],
  ['PATCH', `/v2/a/blobs/uploads/${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}`, 404],
  ['POST', '/v2/UPPER/blobs/uploads/', 400],
])(
  'answers a %s of %s with %d while its body is still coming, and keeps the connection',
  async (method, path, status) => {
    const size = 20_000_000;
    const socket = open();
    const answered = until(socket, new RegExp(`^HTTP/1.1 ${status} `));
    socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`);
    socket.write(Buffer.alloc(size / 2));
    await answered;
    socket.write(Buffer.alloc(size / 2));
    const second = until(socket, /HTTP\/1.1 200 /);
    socket.write('GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n');
    await second;
    socket.destroy();
  },
);

it('asks for a body only when it wants it', async () => {
  const wanted = open();
  const location = await begin(registry.client, 'expect/a');
  const asked = until(wanted, /^HTTP\/1.1 100 Continue\r\n\r\n/);
  const headers = 'Host: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n';
  wanted.write(`PUT ${location}?digest=${digestOf('abc')} HTTP/1.1\r\n${headers}`);
  await asked;
  const done = until(wanted, /HTTP\/1.1 201 Created/);
  wanted.write('abc');
  await done;
  wanted.destroy();

  const refused = open();
  const closed = new Promise((resolve) => refused.once('end', resolve));
  const answer = until(refused, /^HTTP\/1.1 404 [\s\S]*\r\n\r\n/);
  refused.write(`PUT ${location}?digest=${digestOf('abc')} HTTP/1.1\r\n${headers}`);
  expect(await answer).toMatch(/connection: close/i);
  await closed;
  refused.destroy();
});

it('answers requests that are sent ahead, in order', async () => {
  const socket = open();
  const both = until(socket, /HTTP\/1.1 200 [\s\S]*HTTP\/1.1 404 [\s\S]*HTTP\/1.1 200 /);
  socket.write('GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\nGET /v2/a/tags/list HTTP/1.1\r\nHost: x\r\n\r\n');
  socket.write('GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n');
  await both;
  socket.destroy();
});

it('closes when it is asked to', async () => {
  const socket = open();
  const closed = new Promise((resolve) => socket.once('end', resolve));
  socket.write('GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  socket.resume();
  await closed;
  socket.destroy();
});

it('answers what is not HTTP, and headers without end', async () => {
  for (const text of ['nonsense\r\n\r\n', `GET /v2/ HTTP/1.1\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`]) {
    const socket = open();
    const answer = until(socket, /^HTTP\/1.1 4\d\d /);
    socket.write(text);
    await answer;
    socket.destroy();
  }
});

it('hides what went wrong inside behind a request id', async () => {
  const broken = await startTestRegistry();
  await broken.db.destroy();
  const answer = await broken.client.send('GET', '/v2/a/tags/list');
  expect(answer.status).toBe(500);
  const { errors } = json(answer) as {
    errors: { code: string; message: string; detail: { requestId: string } }[];
  };
  expect(errors[0]).toMatchObject({ code: 'UNKNOWN', message: 'internal error' });
  expect(errors[0]?.detail.requestId).toMatch(/^[0-9a-f-]{36}$/);
  await broken[Symbol.asyncDispose]();
});

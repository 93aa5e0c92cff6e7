import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Forwarder } from '#pool/gateway/forward.ts';
import { WorkerAgents } from '#pool/gateway/worker-agents.ts';

let folder: string;
let worker: Server;
let gateway: Server;
const asked: { method: string; url: string; headers: Record<string, unknown> }[] = [];
const agents = new WorkerAgents();
const forwarder = new Forwarder(agents);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  worker = createServer((req, res) => {
    asked.push({ method: req.method!, url: req.url!, headers: req.headers });
    if (req.url === '/echo') return void req.pipe(res);
    if (req.url === '/dies') return void res.write('half', () => res.destroy());
    if (req.url === '/quiet') return void res.flushHeaders();
    res.setHeader('X-Answer', 'yes');
    res.end('hello');
  });
  worker.on('upgrade', (_req, socket, head) => {
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    socket.write(head);
    socket.pipe(socket);
  });
  worker.listen(join(folder, 'worker.sock'));
  const headers = () => ({ 'slipway-tenant': 'operator' });
  const to = { name: 'w', headers, connect: () => connect(join(folder, 'worker.sock')) };
  const away = { name: 'away', headers, connect: () => connect(join(folder, 'nobody.sock')) };
  gateway = createServer((req, res) => {
    const target = req.url === '/away' ? away : to;
    const changes =
      req.url === '/changed'
        ? { target: '/other', body: Buffer.from('{}'), headers: { 'X-Who': 'gateway' } }
        : {};
    forwarder.forward(req, res, target, changes).catch((error: Error) => {
      res.statusCode = 503;
      res.end(error.message);
    });
  });
  gateway.on('upgrade', (req, socket, head) => {
    forwarder.upgrade(req, socket, head, to).catch(() => socket.destroy());
  });
  gateway.listen(join(folder, 'gateway.sock'));
  await Promise.all([once(worker, 'listening'), once(gateway, 'listening')]);
});
afterAll(async () => {
  agents[Symbol.dispose]();
  worker.closeAllConnections();
  gateway.closeAllConnections();
  worker.close();
  gateway.close();
  await rm(folder, { recursive: true, force: true });
});

function ask(path: string, body?: Buffer | string, headers: Record<string, string> = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    text: string;
    headers: object;
  }>();
  const asking = request(
    { socketPath: join(folder, 'gateway.sock'), path, method: body === undefined ? 'GET' : 'POST', headers },
    (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({
          status: answer.statusCode!,
          text: Buffer.concat(chunks).toString(),
          headers: answer.headers,
        }),
      );
    },
  );
  asking.on('error', reject);
  asking.end(body);
  return promise;
}

it('passes a request and its answer on', async () => {
  expect(await ask('/plain?a=1', undefined, { 'X-Mine': '1' })).toMatchObject({
    status: 200,
    text: 'hello',
    headers: { 'x-answer': 'yes' },
  });
  expect(asked.at(-1)).toMatchObject({ method: 'GET', url: '/plain?a=1', headers: { 'x-mine': '1' } });
});

it('passes megabytes both ways', async () => {
  const body = Buffer.alloc(8 * 1024 * 1024, 'x');
  expect((await ask('/echo', body)).text.length).toBe(body.length);
  expect((await ask('/echo', body, { 'Transfer-Encoding': 'chunked' })).text.length).toBe(body.length);
});

it('asks for something else where it is told to', async () => {
  await ask('/changed', 'what the client sent', { 'X-Who': 'client' });
  expect(asked.at(-1)).toMatchObject({
    url: '/other',
    headers: { 'x-who': 'gateway', 'content-length': '2' },
  });
});

it('says that a worker is away', async () => {
  expect(await ask('/away')).toMatchObject({ status: 503, text: 'worker away does not answer' });
});

it('breaks off when the worker does', async () => {
  await expect(ask('/dies')).rejects.toThrow();
});

it('ends the worker’s request when the client leaves', async () => {
  const arrived = once(worker, 'request');
  const asking = request({ socketPath: join(folder, 'gateway.sock'), path: '/quiet' });
  asking.on('error', () => {});
  asking.end();
  const [req] = await arrived;
  await once(asking, 'response');
  const closed = once(req.socket, 'close');
  asking.destroy();
  await closed;
});

it('hands a connection over, with the end of each direction', async () => {
  const socket = connect({ path: join(folder, 'gateway.sock'), allowHalfOpen: true });
  socket.write(
    'POST /containers/x/attach HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst ',
  );
  const payload = Buffer.alloc(4 * 1024 * 1024, 'y');
  socket.end(payload);
  let heard = '';
  for await (const chunk of socket) heard += chunk;
  const [head, ...rest] = heard.split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1.1 101 UPGRADED/);
  expect(rest.join('') === `first ${payload}`).toBe(true);
});

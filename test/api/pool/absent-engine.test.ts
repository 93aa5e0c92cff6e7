import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { type ClientHttp2Session, connect, createServer as createHttp2 } from 'node:http2';
import { connect as connectTo, createServer as createNet } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { unavailable } from '#errors/errors.ts';
import { GrpcProxy } from '#pool/gateway/grpc-proxy.ts';
import { WorkersWatch } from '#pool/gateway/watch-workers.ts';
import { WorkerAgents } from '#pool/gateway/worker-agents.ts';
import { WorkerClient } from '#pool/gateway/worker-client.ts';
import { Workers } from '#pool/gateway/workers.ts';
import { createDispatchServer } from '#pool/http/dispatch-server.ts';
import { askAll } from '#pool/http/gateway/ask-all.ts';

/** Two workers and a tenant: `full` has no room for its disk, and so has no engine for it; `roomy` has one. */

const log = pino({ level: 'silent' });
const DISK_USAGE = '/moby.buildkit.v1.Control/DiskUsage';

let folder: string;
let closing: AsyncDisposableStack;
let workers: Workers;
let client: WorkerClient;
/** Which of them have an engine. */
let engines: Set<string>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  closing = new AsyncDisposableStack();
  engines = new Set(['roomy']);
  const names = ['full', 'roomy'];
  for (const name of names) await serve(name);
  const leases = {
    list: async () => names.map((name) => ({ name, address: addressOf(name), state: 'ready' })),
  };
  const agents = closing.use(new WorkerAgents());
  workers = new Workers({ leases, agents, credentials: () => undefined } as never);
  client = new WorkerClient(agents);
});
afterEach(async () => {
  await closing.disposeAsync();
  await rm(folder, { recursive: true, force: true });
});

const socketOf = (name: string) => join(folder, `${name}.sock`);
const addressOf = (name: string) => `unix://${socketOf(name)}`;
const namesOf = (some: readonly { name: string }[]) => some.map(({ name }) => name);

/** A worker's address as it is: an engine begins with a request for it, or does not. */
async function serve(name: string): Promise<void> {
  const answer: RequestListener = (req, res) => {
    res.setHeader('Content-Type', 'application/json');
    if (!req.url!.startsWith('/events')) return void res.end(JSON.stringify([{ Id: `of ${name}` }]));
    res.flushHeaders();
  };
  const grpc = createHttp2().on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const message = Buffer.from(name);
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
  });
  const engine = createServer(answer).on('upgrade', (_req, socket) => {
    socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
    grpc.emit('connection', socket);
  });
  const server = createDispatchServer(async () => {
    if (!engines.has(name)) throw unavailable('this worker has no room for a disk of 1000 bytes');
    return engine;
  }, log);
  server.listen(socketOf(name));
  await once(server, 'listening');
  closing.defer(() => {
    server.close();
    server.closeAllConnections();
  });
}

async function listed() {
  const ctx = { method: 'GET', originalUrl: '/containers/json' } as { status?: number; body?: unknown };
  const answers = await askAll(ctx as never, { workers, client, log } as never);
  return { from: answers && namesOf(answers.map(({ worker }) => worker)), status: ctx.status };
}

it('lists what the others have', async () => {
  expect(await listed()).toEqual({ from: ['roomy'], status: undefined });
  // Nothing is put there meanwhile; what has a place there is looked for there.
  expect(namesOf(await workers.some())).toEqual(['roomy']);
  expect(namesOf(await workers.living())).toEqual(['full', 'roomy']);
  engines.clear();
  expect(await listed()).toEqual({ from: undefined, status: 503 });
});

it('gathers what the others say to BuildKit’s clients', async () => {
  const proxy = closing.use(
    new GrpcProxy({ homes: {}, workers, contents: {}, log } as never, { keepAliveMs: 0 }),
  );
  const front = createNet((socket) => proxy.accept(socket)).listen(join(folder, 'front.sock'));
  closing.defer(() => void front.close());
  const ask = async (session: ClientHttp2Session) => {
    const stream = session.request({ ':method': 'POST', ':path': DISK_USAGE });
    let status: unknown;
    for (const event of ['response', 'trailers'])
      stream.on(event, (headers) => {
        status = headers['grpc-status'] ?? status;
      });
    stream.end(Buffer.alloc(5));
    const chunks: Buffer[] = await stream.toArray();
    return { status, said: Buffer.concat(chunks).subarray(5).toString() };
  };
  const session = connect('http://localhost', {
    createConnection: () => connectTo(join(folder, 'front.sock')),
  });
  closing.defer(() => session.destroy());
  expect(await ask(session)).toEqual({ status: '0', said: 'roomy' });
  engines.add('full');
  expect(await ask(session)).toEqual({ status: '0', said: 'fullroomy' });
});

it('chooses it for nothing while it has none, and soon after it has', async () => {
  const none = async () => [];
  const placements = { releaseOlder: none, ofWorker: none, adopt: none, forget: none };
  const contents = { touch: none };
  const stop = new AbortController();
  const watching = new WorkersWatch({ workers, client, placements, contents, log } as never).run(stop.signal);
  closing.defer(async () => {
    stop.abort();
    await watching;
  });
  await expect.poll(async () => namesOf(await workers.some())).toEqual(['roomy']);
  engines.add('full');
  await expect.poll(async () => namesOf(await workers.some())).toEqual(['full', 'roomy']);
});

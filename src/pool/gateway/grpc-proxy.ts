import { request } from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { Logger } from 'pino';
import { invalid, messageOf, unavailable } from '#errors/errors.ts';
import { h2Options, widenWindow } from '#worker/buildkit/grpc/h2-settings.ts';
import { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import type { BuildHomes } from './build-homes.ts';
import type { Upstream } from './worker-agents.ts';
import type { LivingWorker, Workers } from './workers.ts';

const CONTROL = '/moby.buildkit.v1.Control';
/** What a message that has to be read may be long, in bytes: clients send no longer ones. */
const MAX_MESSAGE = 64 * 1024 * 1024;
const UNAVAILABLE = '14';
const SESSION_ID = 'x-docker-expose-session-uuid';
const SESSION_KEY = 'x-docker-expose-session-sharedkey';
const BUILD_ID = 'buildkit-controlapi-buildid';

/** A client's connection: to the workers it needs, and the one of its last build. */
interface Connection {
  readonly upstreams: Map<string, Promise<ClientHttp2Session>>;
  home: LivingWorker | undefined;
}

/**
 * BuildKit's API of the pool: each call goes to the worker of its build, which its session or its reference names, and
 * what says neither to the one of the connection's last build. Calls pass as they are.
 */
export class GrpcProxy implements Disposable {
  readonly #homes: BuildHomes;
  readonly #workers: Workers;
  readonly #log: Logger;
  readonly #http2 = createServer({
    ...h2Options,
    settings: { ...h2Options.settings, maxConcurrentStreams: 1_000 },
  });
  readonly #connections = new Map<ServerHttp2Session, Connection>();

  constructor(ports: { homes: BuildHomes; workers: Workers; log: Logger }) {
    this.#homes = ports.homes;
    this.#workers = ports.workers;
    this.#log = ports.log;
    this.#http2.on('session', (session) => this.#keep(session));
    this.#http2.on('stream', (stream, headers, _flags, raw) => void this.#serve(stream, headers, raw ?? []));
    this.#http2.on('sessionError', (error) => this.#log.debug({ err: error }, 'gRPC connection error'));
  }

  /** Serves a connection until either side closes it. */
  accept(connection: Duplex): void {
    connection.on('error', () => connection.destroy());
    this.#http2.emit('connection', connection);
  }

  [Symbol.dispose](): void {
    for (const session of this.#connections.keys()) session.destroy();
  }

  #keep(session: ServerHttp2Session): void {
    widenWindow(session);
    const connection: Connection = { upstreams: new Map(), home: undefined };
    this.#connections.set(session, connection);
    session.on('error', (error) => this.#log.debug({ err: error }, 'gRPC connection error'));
    session.once('close', () => {
      this.#connections.delete(session);
      for (const upstream of connection.upstreams.values()) {
        upstream.then((each) => each.destroy()).catch(() => undefined);
      }
    });
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: string[]): Promise<void> {
    stream.on('error', (error) => this.#log.debug({ err: error }, 'gRPC stream error'));
    const connection = this.#connections.get(stream.session as ServerHttp2Session);
    if (!connection) {
      stream.destroy();
      return;
    }
    const path = headers[':path'] ?? '';
    const metadata = Metadata.fromRaw(raw);
    try {
      const reads = path === `${CONTROL}/Solve` || path === `${CONTROL}/Status`;
      const first = reads ? await firstMessage(stream) : undefined;
      const worker = await this.#route(path, metadata, first, connection);
      const upstream = await this.#upstream(connection, worker);
      relay(stream, { upstream, path, metadata, first });
      if (path === `${CONTROL}/Session`) {
        stream.once(
          'close',
          () => void this.#homes.end(metadata.get(SESSION_ID) ?? '').catch(() => undefined),
        );
      }
    } catch (error) {
      refuse(stream, error);
    }
  }

  async #route(
    path: string,
    metadata: Metadata,
    first: Buffer | undefined,
    connection: Connection,
  ): Promise<LivingWorker> {
    const session = path === `${CONTROL}/Session` ? metadata.get(SESSION_ID) : undefined;
    if (session) return await this.#homes.ofSession(session, metadata.get(SESSION_KEY));
    const build = metadata.get(BUILD_ID);
    if (build) return await this.#homes.ofBuild(build);
    if (path === `${CONTROL}/Status`) return await this.#homes.ofBuild(textField(first!, 1) ?? '');
    if (path === `${CONTROL}/Solve`) {
      const [reference, id] = [textField(first!, 1) ?? '', textField(first!, 5)];
      const worker = id ? await this.#homes.ofSession(id) : await this.#homes.choose(reference);
      await this.#homes.noteBuild(reference, worker);
      connection.home = worker;
      return worker;
    }
    return connection.home ?? (await this.#workers.some())[0]!;
  }

  #upstream(connection: Connection, worker: LivingWorker): Promise<ClientHttp2Session> {
    let upstream = connection.upstreams.get(worker.name);
    if (!upstream) {
      upstream = openGrpc(worker).then((session) => {
        session.once('close', () => connection.upstreams.delete(worker.name));
        return session;
      });
      connection.upstreams.set(worker.name, upstream);
      upstream.catch(() => connection.upstreams.delete(worker.name));
    }
    return upstream;
  }
}

/** HTTP/2 on the Docker Engine API's address of a worker. */
function openGrpc(worker: Upstream): Promise<ClientHttp2Session> {
  const { promise, resolve, reject } = Promise.withResolvers<ClientHttp2Session>();
  const fail = (cause?: Error) => reject(unavailable(`worker ${worker.name} does not answer`, { cause }));
  const asking = request({
    createConnection: () => worker.connect(),
    method: 'POST',
    path: '/grpc',
    headers: { Host: 'docker', Connection: 'Upgrade', Upgrade: 'h2c' },
  });
  asking.on('error', fail);
  asking.on('response', (answer) => {
    answer.resume();
    fail(new Error(`it answers ${answer.statusCode}`));
  });
  asking.on('upgrade', (_answer, socket, head) => {
    if (head.length > 0) socket.unshift(head);
    const session = connect('http://localhost', { ...h2Options, createConnection: () => socket });
    session.once('remoteSettings', () => widenWindow(session));
    session.on('error', () => {});
    socket.once('close', () => session.destroy());
    resolve(session);
  });
  asking.end();
  return promise;
}

function relay(
  stream: ServerHttp2Stream,
  call: { upstream: ClientHttp2Session; path: string; metadata: Metadata; first: Buffer | undefined },
): void {
  const { upstream, path, metadata, first } = call;
  const asking = upstream.request({ ...metadata.toHeaders(), ':method': 'POST', ':path': path });
  let trailers: IncomingHttpHeaders = {};
  asking.on('response', (headers, flags) => {
    const isOver = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    if (stream.destroyed) return;
    stream.respond(plain(headers), isOver ? { endStream: true } : { waitForTrailers: true });
    if (!isOver) asking.pipe(stream);
  });
  asking.on('trailers', (headers) => {
    trailers = headers;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(plain(trailers)));
  asking.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  asking.on('aborted', () => stream.close(constants.NGHTTP2_CANCEL));
  stream.once('close', () => {
    if (!asking.closed) asking.close(constants.NGHTTP2_CANCEL);
  });
  if (first) asking.write(first);
  stream.pipe(asking);
}

/** Headers as they can be sent again. */
function plain(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const kept = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as Record<string, string | string[]>;
}

/** A call's first message, with the five bytes before it. What came after it stays in the stream. */
async function firstMessage(stream: ServerHttp2Stream): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  const chunks: Buffer[] = [];
  let size = 0;
  let wanted = 5;
  while (size < wanted) {
    const chunk = await nextChunk(stream);
    if (!chunk) throw invalid('the call ended within its message');
    chunks.push(chunk);
    size += chunk.length;
    if (wanted === 5 && size >= 5) {
      bytes = Buffer.concat(chunks.splice(0));
      chunks.push(bytes);
      wanted = 5 + bytes.readUInt32BE(1);
      if (wanted > MAX_MESSAGE) throw invalid(`a message of more than ${MAX_MESSAGE} bytes`);
    }
  }
  // What is beyond the message is the next one's, and goes the same way.
  return Buffer.concat(chunks);
}

function nextChunk(stream: ServerHttp2Stream): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (task: () => void) => {
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', onError);
      task();
    };
    const onReadable = () => {
      const chunk: Buffer | null = stream.read();
      if (chunk) settle(() => resolve(chunk));
    };
    const onEnd = () => settle(() => resolve(undefined));
    const onError = (error: Error) => settle(() => reject(error));
    stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onError);
    onReadable();
  });
}

/** A field of text of the message in a frame. Throws `invalid` for what is no message. */
function textField(frame: Buffer, wanted: number): string | undefined {
  if (frame[0] !== 0) throw invalid('compressed messages are not understood');
  try {
    const reader = new BinaryReader(frame.subarray(5, 5 + frame.readUInt32BE(1)));
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === wanted && type === WireType.LengthDelimited) return reader.string();
      reader.skip(type, field);
    }
    return undefined;
  } catch (cause) {
    throw invalid('this is no message', { cause });
  }
}

function refuse(stream: ServerHttp2Stream, error: unknown): void {
  if (stream.destroyed || stream.headersSent) {
    stream.destroy();
    return;
  }
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': UNAVAILABLE,
      'grpc-message': encodeURIComponent(messageOf(error)),
    },
    { endStream: true },
  );
  stream.close();
}

import { request } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { invalid, isKind, messageOf, unavailable } from '#errors/errors.ts';
import { h2Options, widenWindow } from '#worker/buildkit/grpc/h2-settings.ts';
import type { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import type { Upstream } from './worker-agents.ts';

/** What a message that has to be read may be long, in bytes: clients send no longer ones. */
const MAX_MESSAGE = 64 * 1024 * 1024;
const [CANCELED, NOT_FOUND, UNAVAILABLE] = ['1', '5', '14'];

/** A call of a client, as it is passed on. */
export interface RelayedCall {
  readonly path: string;
  readonly metadata: Metadata;
  /** What was read of it already. */
  readonly first?: Buffer | undefined;
  /** Whether something was answered already: then only messages and the end are. */
  readonly hasBegun?: boolean;
  /** What has to be done before the client hears the answer. */
  readonly beforeAnswer?: (() => Promise<void>) | undefined;
}

/** HTTP/2 on the Docker Engine API's address of a worker. */
export function openGrpc(worker: Upstream): Promise<ClientHttp2Session> {
  const { promise, resolve, reject } = Promise.withResolvers<ClientHttp2Session>();
  const fail = (cause?: Error) => reject(unavailable(`worker ${worker.name} does not answer`, { cause }));
  const asking = request({
    createConnection: () => worker.connect(),
    method: 'POST',
    path: '/grpc',
    headers: { Host: 'docker', Connection: 'Upgrade', Upgrade: 'h2c', ...worker.headers() },
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

/** Passes a call on to a worker, and the answer back, each no faster than the other side takes it. */
export function relay(stream: ServerHttp2Stream, upstream: ClientHttp2Session, call: RelayedCall): void {
  const { path, metadata, first } = call;
  const asking = upstream.request({ ...metadata.toHeaders(), ':method': 'POST', ':path': path });
  asking.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  asking.on('aborted', () => stream.close(constants.NGHTTP2_CANCEL));
  stream.once('close', () => {
    if (!asking.closed) asking.close(constants.NGHTTP2_CANCEL);
  });
  answer(stream, asking, call);
  if (first) asking.write(first);
  stream.pipe(asking);
}

function answer(
  stream: ServerHttp2Stream,
  asking: ClientHttp2Stream,
  { hasBegun = false, beforeAnswer }: RelayedCall,
): void {
  let trailers: IncomingHttpHeaders = {};
  asking.on('trailers', (headers) => {
    trailers = headers;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(plain(trailers)));
  const begin = (headers: IncomingHttpHeaders, isOver: boolean) => {
    if (stream.destroyed) return;
    if (hasBegun && isOver) {
      trailers = statusOf(headers);
      stream.end();
      return;
    }
    if (!hasBegun) stream.respond(plain(headers), isOver ? { endStream: true } : { waitForTrailers: true });
    if (!isOver) asking.pipe(stream);
  };
  asking.on('response', (headers, flags) => {
    const isOver = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    if (beforeAnswer) void beforeAnswer().finally(() => begin(headers, isOver));
    else begin(headers, isOver);
  });
}

/** Headers as they can be sent again. */
function plain(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const kept = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as Record<string, string | string[]>;
}

function statusOf(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('grpc-')));
}

/** A call's first message, with the five bytes before it. What came after it stays in the stream. */
export async function firstMessage(stream: ServerHttp2Stream): Promise<Buffer> {
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

/** Ends a call with an error, whatever was answered before. */
export function refuse(stream: ServerHttp2Stream, error: unknown): void {
  if (stream.destroyed) return;
  const code = isKind(error, 'canceled') ? CANCELED : isKind(error, 'not-found') ? NOT_FOUND : UNAVAILABLE;
  const status = { 'grpc-status': code!, 'grpc-message': encodeURIComponent(messageOf(error)) };
  if (stream.headersSent) {
    stream.removeAllListeners('wantTrailers');
    stream.once('wantTrailers', () => stream.sendTrailers(status));
    stream.end();
    return;
  }
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true });
  stream.close();
}

/** Answers a call by itself: begins, so that messages can follow. */
export function beginAnswer(stream: ServerHttp2Stream, headers: Readonly<Record<string, string>> = {}): void {
  const answer = { ':status': 200, 'content-type': 'application/grpc', ...headers };
  stream.respond(answer, { waitForTrailers: true });
}

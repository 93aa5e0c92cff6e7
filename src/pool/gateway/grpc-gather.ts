import { once } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { canceled, isKind, tooLarge, unavailable } from '#errors/errors.ts';
import { FrameParser, frameOf } from '#worker/buildkit/grpc/frames.ts';
import type { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import { beginAnswer } from './grpc-relay.ts';

/** What is held of answers that have to be one message, in bytes. */
const MAX_ANSWER = 64 * 1024 * 1024;
const HEADER = 5;

/** A call with one message of the client. */
interface OneCall {
  readonly path: string;
  readonly metadata: Metadata;
  readonly first: Buffer;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/**
 * How answers of several become one. `merged`: each is one message, and so is what they come to: what messages have many of
 * are put together by writing them one after the other (Protocol Buffers, "Last one wins"). `in-turn`: each worker's
 * messages follow those of the one before. `live`: as they come, from all at once, until the client leaves.
 */
export type Gathered = 'merged' | 'in-turn' | 'live';

/** A call that is for all workers. */
interface GatheredCall extends OneCall {
  readonly kind: Gathered;
  /** Hears of each message of those that are not merged, by the place of its worker. */
  readonly answered?: (at: number) => void;
}

/** Answers with what each worker answers. Throws what the first one that fails says. */
export async function gather(
  stream: ServerHttp2Stream,
  upstreams: readonly ClientHttp2Session[],
  call: GatheredCall,
): Promise<void> {
  const begin = () => beginAnswer(stream, { 'buildkit-currenttimestamp': new Date().toISOString() });
  if (call.kind === 'live') begin();
  const pass = async (upstream: ClientHttp2Session, at: number) => {
    const parser = new FrameParser();
    for await (const chunk of answerOf(upstream, call)) {
      for (const message of parser.push(chunk)) {
        call.answered?.(at);
        if (!stream.headersSent) begin();
        if (stream.write(frameOf(message))) continue;
        await once(stream, 'drain', { signal: call.signal }).catch(() => undefined);
      }
    }
  };
  const merged = call.kind === 'merged' ? await messageOfAll(upstreams, call) : undefined;
  if (call.kind === 'in-turn') for (const [at, upstream] of upstreams.entries()) await pass(upstream, at);
  if (call.kind === 'live') await Promise.all(upstreams.map(pass));
  if (call.signal.aborted) throw canceled('the client has gone');
  if (!stream.headersSent) begin();
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(merged);
}

async function messageOfAll(upstreams: readonly ClientHttp2Session[], call: OneCall): Promise<Buffer> {
  const bodies: Buffer[] = [];
  let size = 0;
  for (const upstream of upstreams) {
    const chunks: Buffer[] = [];
    for await (const chunk of answerOf(upstream, call)) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_ANSWER) throw tooLarge(`the workers answer with more than ${MAX_ANSWER} bytes`);
    }
    bodies.push(Buffer.concat(chunks).subarray(HEADER));
  }
  return frameOf(Buffer.concat(bodies));
}

/** Whether a worker answers with a message. */
export async function hasAnswer(upstream: ClientHttp2Session, call: OneCall): Promise<boolean> {
  try {
    for await (const _chunk of answerOf(upstream, call)) return true;
  } catch (error) {
    if (!isKind(error, 'unavailable')) throw error;
  }
  return false;
}

/** What a worker answers, as it comes. Throws `unavailable` with what it says when it fails. */
async function* answerOf(
  upstream: ClientHttp2Session,
  { path, metadata, first, signal }: OneCall,
): AsyncGenerator<Buffer> {
  const asking: ClientHttp2Stream = upstream.request({
    ...metadata.toHeaders(),
    ':method': 'POST',
    ':path': path,
  });
  const leave = () => asking.close(constants.NGHTTP2_CANCEL);
  signal.addEventListener('abort', leave);
  const said: Record<string, unknown> = {};
  asking.on('response', (headers) => Object.assign(said, headers));
  asking.on('trailers', (headers) => Object.assign(said, headers));
  try {
    asking.end(first);
    yield* asking;
  } catch (cause) {
    throw unavailable('a worker of the pool has gone', { cause });
  } finally {
    signal.removeEventListener('abort', leave);
    asking.destroy();
  }
  if (signal.aborted || said['grpc-status'] === '0') return;
  throw unavailable(
    decodeURIComponent(String(said['grpc-message'] ?? 'a worker of the pool does not answer')),
  );
}

import { once } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { canceled, tooLarge, unavailable } from '#errors/errors.ts';
import { frameOf } from '#worker/buildkit/grpc/frames.ts';
import type { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import { beginAnswer } from './grpc-relay.ts';

/** What is held of answers that have to be one message, in bytes. */
const MAX_ANSWER = 64 * 1024 * 1024;
const HEADER = 5;

/** A call that is for all workers, one after the other. */
export interface GatheredCall {
  readonly path: string;
  readonly metadata: Metadata;
  /** The only message of the client. */
  readonly first: Buffer;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
  /**
   * Whether an answer is one message, which all of them are merged to: what messages have many of are put together by writing
   * them one after the other (Protocol Buffers, "Last one wins"). Else each worker's messages follow those of the one before.
   */
  readonly merged: boolean;
  /** Hears of each worker that had something to say, by its place. */
  readonly answered?: (at: number) => void;
}

/** Answers with what each worker answers. Throws what the first one that fails says. */
export async function gather(
  stream: ServerHttp2Stream,
  upstreams: readonly ClientHttp2Session[],
  { merged, answered, ...call }: GatheredCall,
): Promise<void> {
  const bodies: Buffer[] = [];
  let size = 0;
  for (const [at, upstream] of upstreams.entries()) {
    const chunks: Buffer[] = [];
    let isFirst = true;
    for await (const chunk of answerOf(upstream, call)) {
      if (isFirst) answered?.(at);
      isFirst = false;
      if (merged) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > MAX_ANSWER) throw tooLarge(`the workers answer with more than ${MAX_ANSWER} bytes`);
        continue;
      }
      if (!stream.headersSent) beginAnswer(stream);
      if (!stream.write(chunk)) await once(stream, 'drain', { signal: call.signal }).catch(() => undefined);
    }
    bodies.push(Buffer.concat(chunks).subarray(HEADER));
  }
  if (call.signal.aborted) throw canceled('the client has gone');
  if (!stream.headersSent) beginAnswer(stream);
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(merged ? frameOf(Buffer.concat(bodies)) : undefined);
}

/** What a worker answers, as it comes. Throws `unavailable` with what it says when it fails. */
async function* answerOf(
  upstream: ClientHttp2Session,
  { path, metadata, first, signal }: Pick<GatheredCall, 'path' | 'metadata' | 'first' | 'signal'>,
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

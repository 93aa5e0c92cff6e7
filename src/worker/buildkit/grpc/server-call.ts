import type { ServerHttp2Stream } from 'node:http2';
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { readFrameBatches, writeFrame } from './frames.ts';
import { Code, GrpcError, statusTrailers } from './grpc-error.ts';
import { DecodedMessages, type Messages } from './messages.ts';
import type { Metadata } from './metadata.ts';

/** One call as its handler sees it. */
export interface ServerCall {
  readonly metadata: Metadata;
  /** Aborts when the client cancels, its deadline passes or its connection is lost; also after the end. */
  readonly signal: AbortSignal;
  /** Sends the headers of the reply now, with these added. Once, before the first message. */
  sendHeaders(headers?: Readonly<Record<string, string>>): void;
}

type Init<D extends DescMessage> = MessageInitShape<D>;

export type Handler<M extends DescMethod> = M['methodKind'] extends 'unary'
  ? (request: MessageShape<M['input']>, call: ServerCall) => Promise<Init<M['output']>>
  : M['methodKind'] extends 'server_streaming'
    ? (request: MessageShape<M['input']>, call: ServerCall) => AsyncIterable<Init<M['output']>>
    : M['methodKind'] extends 'client_streaming'
      ? (requests: Messages<MessageShape<M['input']>>, call: ServerCall) => Promise<Init<M['output']>>
      : (requests: Messages<MessageShape<M['input']>>, call: ServerCall) => AsyncIterable<Init<M['output']>>;

/** Handlers by method; those left out are unimplemented. */
export type ServiceHandlers<S extends DescService> = {
  readonly [K in keyof S['method']]?: Handler<S['method'][K]>;
};

export type AnyHandler = (input: unknown, call: ServerCall) => AsyncIterable<object> | Promise<object>;

interface Answer {
  /** undefined: requests are handed on as they come, replies have no contents. */
  readonly method: DescMethod | undefined;
  readonly handler: AnyHandler;
  readonly metadata: Metadata;
  readonly toError: (error: unknown) => GrpcError;
}

/** Runs a handler for a stream, to its end. Answers what it ended with, if that was an error; never rejects. */
export async function answer(
  stream: ServerHttp2Stream,
  { method, handler, metadata, toError }: Answer,
): Promise<GrpcError | undefined> {
  const controller = new AbortController();
  const deadline = startDeadline(metadata.get('grpc-timeout'), controller);
  stream.once('close', () => controller.abort(new GrpcError(Code.cancelled, 'context canceled')));
  const reply = new Reply(stream);
  const call: ServerCall = {
    metadata,
    signal: controller.signal,
    sendHeaders: (headers) => reply.sendHeaders(headers),
  };
  try {
    await respond(stream, { method, handler, call, reply });
    reply.end();
    return undefined;
  } catch (error) {
    const mapped: GrpcError = controller.signal.aborted ? controller.signal.reason : toError(error);
    reply.end(mapped);
    return mapped;
  } finally {
    clearTimeout(deadline);
    controller.abort(new GrpcError(Code.cancelled, 'the call is over'));
  }
}

async function respond(
  stream: ServerHttp2Stream,
  { method, handler, call, reply }: Pick<Answer, 'method' | 'handler'> & { call: ServerCall; reply: Reply },
): Promise<void> {
  if (!method) {
    for await (const messages of readFrameBatches(stream)) {
      for (const message of messages) await handler(message, call);
    }
    return reply.send(new Uint8Array());
  }
  const encode = (message: object) => toBinary(method.output, create(method.output, message as never));
  const requests = decoded(stream, method.input);
  const streams = method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming';
  const output = handler(streams ? requests : await first(requests), call);
  if (method.methodKind === 'unary' || method.methodKind === 'client_streaming') {
    await reply.send(encode((await output) as object));
    return;
  }
  for await (const message of output as AsyncIterable<object>) await reply.send(encode(message));
}

/** Ends a call that has no handler. What the client still sends is read, or Node would end the connection. */
export function refuse(stream: ServerHttp2Stream, error: GrpcError): void {
  new Reply(stream).end(error);
}

function decoded(stream: ServerHttp2Stream, schema: DescMessage): Messages<MessageShape<DescMessage>> {
  return new DecodedMessages(readFrameBatches(stream), (frame) => {
    try {
      return fromBinary(schema, frame);
    } catch (cause) {
      throw new GrpcError(Code.internal, `cannot read a ${schema.typeName}`, { cause });
    }
  });
}

async function first<T>(messages: AsyncIterable<T>): Promise<T> {
  for await (const message of messages) return message;
  throw new GrpcError(Code.internal, 'a request without a message');
}

/** The reply's side of a stream: headers, messages, trailers, in this order. */
class Reply {
  readonly #stream: ServerHttp2Stream;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  sendHeaders(headers: Readonly<Record<string, string>> = {}): void {
    if (this.#stream.headersSent || this.#stream.destroyed) return;
    this.#stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', ...headers },
      { waitForTrailers: true },
    );
  }

  async send(message: Uint8Array): Promise<void> {
    this.sendHeaders();
    await writeFrame(this.#stream, message);
  }

  end(error?: GrpcError): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    const trailers = statusTrailers(error);
    if (stream.headersSent) {
      stream.once('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end();
    } else {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', ...trailers },
        { endStream: true },
      );
    }
    stream.resume();
  }
}

const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
const LONGEST_TIMER = 2 ** 31 - 1;

/** `grpc-timeout`: at most eight digits and a unit. */
function startDeadline(timeout: string | undefined, controller: AbortController): NodeJS.Timeout | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(timeout ?? '') ?? [];
  if (!digits || !unit) return undefined;
  const expire = () => controller.abort(new GrpcError(Code.deadlineExceeded, 'context deadline exceeded'));
  return setTimeout(expire, Math.min(Number(digits) * UNITS[unit]!, LONGEST_TIMER));
}

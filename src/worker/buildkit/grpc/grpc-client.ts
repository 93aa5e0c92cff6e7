import { type ClientHttp2Session, connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import {
  create,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { ClientCall } from './client-call.ts';
import { Code, ConnectionLost, GrpcError } from './grpc-error.ts';
import { h2Options, widenWindow } from './h2-settings.ts';
import type { Metadata } from './metadata.ts';

export interface CallOptions {
  readonly metadata?: Metadata;
  readonly signal?: AbortSignal;
  /** The method that is called, where its messages are those of another. */
  readonly as?: DescMethod;
  /** How long the other side may leave the caller waiting; 0: for ever. */
  readonly patienceMs?: number;
}

/** Calls the services behind a byte stream, whichever side of it was the one that connected. */
export class GrpcClient {
  readonly #session: ClientHttp2Session;
  readonly #closed = new AbortController();
  readonly #patienceMs: number;

  /** `patienceMs`: of calls that do not say it themselves. */
  constructor(connection: Duplex, { patienceMs = 0 }: { patienceMs?: number } = {}) {
    this.#patienceMs = patienceMs;
    this.#session = connect('http://localhost', { ...h2Options, createConnection: () => connection });
    this.#session.once('remoteSettings', () => widenWindow(this.#session));
    // Whatever is wrong with it, all that follows is that it is closed.
    this.#session.on('error', () => {});
    this.#session.once('close', () => this.#closed.abort(gone()));
    connection.once('close', () => this.close());
  }

  /** Aborts when the connection is no more. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  close(): void {
    this.#session.destroy();
    this.#closed.abort(gone());
  }

  /** One message there, one back. Throws `GrpcError`. */
  async unary<M extends DescMethod & { methodKind: 'unary' }>(
    method: M,
    request: MessageInitShape<M['input']>,
    options: CallOptions = {},
  ): Promise<MessageShape<M['output']>> {
    const call = this.stream(method, options);
    await call.send(request);
    call.end();
    let reply: MessageShape<M['output']> | undefined;
    for await (const message of call) reply ??= message;
    if (!reply) throw new GrpcError(Code.internal, 'a reply without a message');
    return reply;
  }

  /** A call whose messages come and go as both sides like. Whoever opens it ends or cancels it. */
  stream<M extends DescMethod>(method: M, options: CallOptions = {}): ClientCall<M['input'], M['output']> {
    if (this.#session.destroyed || this.#session.closed) throw gone();
    options.signal?.throwIfAborted();
    const { parent, name } = options.as ?? method;
    const stream = this.#session.request(
      {
        ...options.metadata?.toHeaders(),
        ':method': 'POST',
        ':path': `/${parent.typeName}/${name}`,
        'content-type': 'application/grpc',
        te: 'trailers',
      },
      { endStream: false },
    );
    return new ClientCall(stream, {
      encode: (message) => toBinary(method.input, create(method.input, message)),
      decode: (bytes) => fromBinary(method.output, bytes) as MessageShape<M['output']>,
      signal: options.signal,
      patienceMs: options.patienceMs ?? this.#patienceMs,
    });
  }
}

function gone(): ConnectionLost {
  return new ConnectionLost('the connection is closed');
}

import { type ClientHttp2Stream, constants } from 'node:http2';
import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { readFrameBatches, writeFrames } from './frames.ts';
import { Code, ConnectionLost, errorOf, GrpcError } from './grpc-error.ts';
import { DecodedMessages, type Messages } from './messages.ts';

interface Options<I extends DescMessage, O extends DescMessage> {
  readonly encode: (message: MessageInitShape<I>) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => MessageShape<O>;
  readonly signal?: AbortSignal;
  /** How long the other side may leave a reader or a sender waiting; 0: for ever. */
  readonly patienceMs?: number;
}

/**
 * A call under way, from the caller's side. Iterated once, it gives the replies, and throws a `GrpcError` when the call
 * ends with one; abort of its signal, or `cancel`, ends it at once.
 */
export class ClientCall<I extends DescMessage, O extends DescMessage> implements Messages<MessageShape<O>> {
  readonly #stream: ClientHttp2Stream;
  readonly #options: Options<I, O>;
  readonly #outcome: Promise<GrpcError | undefined>;
  readonly #patience: Patience;

  constructor(stream: ClientHttp2Stream, options: Options<I, O>) {
    this.#stream = stream;
    this.#options = options;
    this.#patience = new Patience(options.patienceMs ?? 0, () => this.cancel());
    this.#outcome = outcomeOf(stream, options.signal, this.#patience);
    const abort = () => this.cancel();
    options.signal?.addEventListener('abort', abort, { once: true });
    stream.once('close', () => options.signal?.removeEventListener('abort', abort));
    // The outcome tells.
    stream.on('error', () => {});
  }

  /** Resolves to the message's bytes when more may follow. Throws why the call is over, if it is. */
  send(message: MessageInitShape<I>): Promise<number> {
    return this.sendAll([message]);
  }

  /** The same for small messages that follow each other, as one piece. */
  async sendAll(messages: readonly MessageInitShape<I>[]): Promise<number> {
    try {
      const encoded = messages.map((message) => this.#options.encode(message));
      await this.#patience.during(writeFrames(this.#stream, encoded));
      return encoded.reduce((bytes, { length }) => bytes + length, 0);
    } catch (error) {
      throw (await this.#outcome) ?? error;
    }
  }

  /** There is nothing more to send. */
  end(): void {
    if (!this.#stream.writableEnded) this.#stream.end();
  }

  cancel(): void {
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  [Symbol.asyncIterator](): AsyncIterator<MessageShape<O>> {
    return this.#messages()[Symbol.asyncIterator]();
  }

  batches(): AsyncIterable<readonly MessageShape<O>[]> {
    return this.#messages().batches();
  }

  /** The same, for somebody else to decode: those together that have come. */
  async *frames(): AsyncGenerator<readonly Buffer[]> {
    try {
      const batches = readFrameBatches(this.#stream);
      try {
        for (;;) {
          const { value, done } = await this.#patience.during(batches.next());
          if (done) break;
          yield value;
        }
      } finally {
        await batches.return(undefined);
      }
    } catch (error) {
      this.cancel();
      if (isRefusal(error)) throw error;
      throw (await this.#outcome) ?? error;
    }
    const error = await this.#patience.during(this.#outcome);
    if (error) throw error;
  }

  #messages(): DecodedMessages<MessageShape<O>> {
    return new DecodedMessages(this.frames(), this.#options.decode);
  }
}

/** Runs out while somebody waits for the other side and nothing comes or goes. */
class Patience {
  readonly #milliseconds: number;
  readonly #out: () => void;
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;
  spent = false;

  constructor(milliseconds: number, out: () => void) {
    this.#milliseconds = milliseconds;
    this.#out = out;
  }

  /** What was awaited is a sign of life, for all that still waits. */
  async during<T>(task: Promise<T>): Promise<T> {
    if (this.#milliseconds === 0) return await task;
    this.#waiting++;
    this.#timer ??= setTimeout(() => {
      this.spent = true;
      this.#out();
    }, this.#milliseconds);
    try {
      return await task;
    } finally {
      if (--this.#waiting > 0) this.#timer?.refresh();
      else {
        clearTimeout(this.#timer);
        this.#timer = undefined;
      }
    }
  }

  get error(): GrpcError {
    const seconds = this.#milliseconds / 1_000;
    return new GrpcError(
      Code.deadlineExceeded,
      `the client has left the build waiting for ${seconds} seconds`,
    );
  }
}

/** A message that is not taken, too large or compressed: what the call ends with follows from that. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof GrpcError && (error.code === Code.resourceExhausted || error.code === Code.unimplemented)
  );
}

function outcomeOf(
  stream: ClientHttp2Stream,
  signal: AbortSignal | undefined,
  patience: Patience,
): Promise<GrpcError | undefined> {
  return new Promise((resolve) => {
    stream.once('response', (headers) => {
      if (headers[':status'] !== 200) {
        resolve(new GrpcError(Code.unknown, `HTTP status ${headers[':status']}`));
      } else if (headers['grpc-status'] !== undefined) {
        resolve(errorOf(headers));
      }
    });
    stream.once('trailers', (trailers) => resolve(errorOf(trailers)));
    stream.once('close', () => {
      if (patience.spent) resolve(patience.error);
      resolve(
        signal?.aborted
          ? new GrpcError(Code.cancelled, 'context canceled', { cause: signal.reason })
          : new ConnectionLost('the connection was lost'),
      );
    });
  });
}

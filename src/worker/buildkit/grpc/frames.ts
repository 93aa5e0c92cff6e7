import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { Code, GrpcError } from './grpc-error.ts';

/** What BuildKit's own clients and servers take at most. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

const PREFIX_BYTES = 5;

/** A message as it goes over a stream: `[compressed = 0, length (4, big-endian)]` and its bytes. */
export function frameOf(message: Uint8Array): Buffer {
  return framesOf([message]);
}

/** Several of them, one behind the other. */
function framesOf(messages: readonly Uint8Array[]): Buffer {
  const length = messages.reduce((bytes, message) => bytes + PREFIX_BYTES + message.length, 0);
  const frames = Buffer.allocUnsafe(length);
  let at = 0;
  for (const message of messages) {
    frames[at] = 0;
    frames.writeUInt32BE(message.length, at + 1);
    frames.set(message, at + PREFIX_BYTES);
    at += PREFIX_BYTES + message.length;
  }
  return frames;
}

/** Takes a stream of chunks apart into messages. Holds no more than one message that is not whole yet. */
export class FrameParser {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #length = 0;
  /** Bytes of the frame that is being collected; known once its prefix is there. */
  #wanted = PREFIX_BYTES;

  constructor(maxBytes: number = MAX_MESSAGE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** The messages that are whole now. Throws for one that is too large, or compressed. */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= this.#wanted) {
      const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#length);
      const end = PREFIX_BYTES + this.#messageLength(bytes);
      const whole = bytes.length >= end;
      const rest = whole ? bytes.subarray(end) : bytes;
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#length = rest.length;
      this.#wanted = whole ? PREFIX_BYTES : end;
      if (whole) yield bytes.subarray(PREFIX_BYTES, end);
    }
  }

  /** Throws when the stream ended within a message. */
  end(): void {
    if (this.#length > 0) throw new GrpcError(Code.internal, 'the stream ended within a message');
  }

  #messageLength(bytes: Buffer): number {
    if (bytes[0] !== 0) throw new GrpcError(Code.unimplemented, 'compressed messages are not supported');
    const length = bytes.readUInt32BE(1);
    if (length > this.#maxBytes) {
      throw new GrpcError(
        Code.resourceExhausted,
        `received message larger than max (${length} vs. ${this.#maxBytes})`,
      );
    }
    return length;
  }
}

/** The messages of a stream, those together that have come: handing over each by itself costs more than what is in a small one. */
export async function* readFrameBatches(
  stream: Readable,
  maxBytes?: number,
): AsyncGenerator<readonly Buffer[]> {
  const parser = new FrameParser(maxBytes);
  // Not destroyed with the loop: who stops reading may still have something to send.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    const frames: Buffer[] = [];
    try {
      for (const frame of parser.push(chunk)) frames.push(frame);
    } catch (error) {
      // What came before is not lost.
      yield frames;
      throw error;
    }
    if (frames.length > 0) yield frames;
  }
  parser.end();
}

/** Resolves when more may follow. Throws `unavailable` once the stream is gone. */
export function writeFrame(stream: Writable, message: Uint8Array): Promise<void> {
  return writeFrames(stream, [message]);
}

/** Small messages that follow each other, as one piece: the stream costs more than what is in them. */
export async function writeFrames(stream: Writable, messages: readonly Uint8Array[]): Promise<void> {
  if (stream.destroyed || stream.writableEnded) throw gone();
  if (stream.write(framesOf(messages))) return;
  const done = new AbortController();
  const { signal } = done;
  try {
    const event = await Promise.race([
      once(stream, 'drain', { signal }).then(() => 'drain'),
      once(stream, 'close', { signal }).then(() => 'close'),
    ]);
    if (event === 'close') throw gone();
  } finally {
    done.abort();
  }
}

function gone(): GrpcError {
  return new GrpcError(Code.unavailable, 'the stream is closed');
}

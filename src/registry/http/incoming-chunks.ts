import type { IncomingMessage } from 'node:http';
import { ByteQueue } from '#content/byte-queue.ts';
import { canceled, SlipwayError } from '#errors/errors.ts';

/** How much is read ahead of whoever takes it in, in bytes. */
const AHEAD = 256 * 1024;

/**
 * The chunks of a request's body, in turn. Readable's own iterator stops the socket after each of them, starts it again
 * and copies together what came meanwhile, which costs more than reading it.
 */
export class IncomingChunks {
  readonly #request: IncomingMessage;
  /** Small chunks lie together in it: a sender may make one of each byte. */
  readonly #waiting = new ByteQueue();
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(request: IncomingMessage) {
    this.#request = request;
    if (request.readableEnded) this.#ended = true;
    else if (request.destroyed) this.#failure = canceled('the client went away');
    else {
      request.on('data', this.#take).on('end', this.#end).on('error', this.#fail).on('close', this.#fail);
      request.resume();
    }
  }

  /** The next chunk, undefined at the end. Throws `canceled` when the client went away. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#waiting.shift();
      if (chunk) {
        if (this.#waiting.size < AHEAD && this.#request.isPaused()) this.#request.resume();
        return chunk;
      }
      if (this.#failure) throw this.#failure;
      if (this.#ended) return undefined;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  /** Leaves the rest of the body where it is. */
  leave(): void {
    const request = this.#request;
    request.off('data', this.#take).off('end', this.#end).off('error', this.#fail).off('close', this.#fail);
    if (!this.#ended) request.pause();
    this.#waiting.clear();
  }

  readonly #take = (chunk: Uint8Array) => {
    this.#waiting.add(chunk);
    if (this.#waiting.size >= AHEAD) this.#request.pause();
    this.#wake?.();
  };

  readonly #end = () => {
    this.#ended = true;
    this.#wake?.();
  };

  readonly #fail = (cause?: unknown) => {
    if (!this.#ended) this.#failure ??= new SlipwayError('canceled', 'the client went away', { cause });
    this.#wake?.();
  };
}

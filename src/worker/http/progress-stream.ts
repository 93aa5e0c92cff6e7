import { once } from 'node:events';
import { messageOf, SlipwayError } from '#errors/errors.ts';
import { requestSignal } from './request-signal.ts';
import type { EngineContext } from './router.ts';

/**
 * The JSON lines of pull, push, load and build. Until the first line the request can still fail with a real
 * status; after it an error goes into the stream as `errorDetail`, which the CLI prints and exits non-zero on.
 */
export class ProgressStream {
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  readonly #ctx: EngineContext;
  #started = false;

  constructor(ctx: EngineContext) {
    this.#ctx = ctx;
    this.signal = requestSignal(ctx);
  }

  /** Resolves when another line may be written; lines for a client that has left are dropped. */
  async write(line: object): Promise<void> {
    if (!this.#started) this.#start();
    const { res } = this.#ctx;
    if (res.destroyed || this.signal.aborted) return;
    if (res.write(`${JSON.stringify(line)}\r\n`)) return;
    await once(res, 'drain', { signal: this.signal }).catch(() => undefined);
  }

  /** Rethrows when nothing was written yet, so that the server answers with a status; `code` is a build step's exit code. */
  async fail(error: unknown, code?: number): Promise<void> {
    if (!this.#started) throw error;
    const message = error instanceof SlipwayError ? error.message : messageOf(error);
    await this.write({ errorDetail: { ...(code !== undefined && { code }), message }, error: message });
    this.end();
  }

  end(): void {
    if (!this.#started) this.#start();
    this.#ctx.res.end();
  }

  #start(): void {
    this.#started = true;
    this.#ctx.respond = false;
    this.#ctx.res.statusCode = 200;
    this.#ctx.res.setHeader('Content-Type', 'application/json');
    this.#ctx.res.flushHeaders();
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { PostgresOptions } from './postgres-options.ts';
import { clientConfig } from './postgres-pool.ts';

/** In milliseconds. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;

/**
 * Hears what is said on a channel (LISTEN, NOTIFY), by a connection of its own that is made again when it breaks.
 * What was said meanwhile is lost, so `hear` is also called, with nothing, after each time that it was made.
 */
export class PostgresListener implements AsyncDisposable {
  readonly #options: Pick<PostgresOptions, 'url' | 'applicationName' | 'connectTimeout'>;
  readonly #channel: string;
  readonly #hear: (said?: string) => void;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(
    options: Pick<PostgresOptions, 'url' | 'applicationName' | 'connectTimeout'>,
    channel: string,
    hear: (said?: string) => void,
  ) {
    this.#options = options;
    this.#channel = channel;
    this.#hear = hear;
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      if (await this.#listen(signal)) pause = FIRST_PAUSE;
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** Until the connection breaks or the signal aborts; false when it was never made. */
  async #listen(signal: AbortSignal): Promise<boolean> {
    const client = new pg.Client({
      ...clientConfig(this.#options),
      connectionTimeoutMillis: this.#options.connectTimeout,
    });
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    client.on('error', () => end());
    client.on('end', () => end());
    client.on('notification', ({ payload }) => this.#hear(payload));
    signal.addEventListener('abort', () => end(), { once: true });
    try {
      await client.connect();
      await client.query(`listen ${client.escapeIdentifier(this.#channel)}`);
      this.#hear();
      await over;
      return true;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => {});
    }
  }
}

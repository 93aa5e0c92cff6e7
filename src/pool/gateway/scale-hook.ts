import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { signatureHeaders } from '#webhooks/signature.ts';
import { desiredWorkers, type PoolDemand, type ScaleLimits } from '../scheduler/demand.ts';
import type { DemandRepository } from '../scheduler/demand-repository.ts';

const TIMEOUT = 10_000;
/** Longer than all of a turn takes. */
const HOLD = 3 * TIMEOUT;

export interface ScaleHookOptions extends ScaleLimits {
  readonly url: string;
  /** `whsec_…` */
  readonly secret: string;
  /** Milliseconds between two calls, at least. */
  readonly interval: number;
}

/**
 * Tells whoever adds and removes workers how many there should be: when that number changes, and when builds or jobs begin
 * to wait or no longer do. One gateway does so for all; what was not taken is told again. Signed as Standard Webhooks has
 * it.
 */
export class ScaleHook implements AsyncDisposable {
  readonly #rows: DemandRepository;
  readonly #log: Logger;
  readonly #options: ScaleHookOptions;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(ports: { rows: DemandRepository; log: Logger }, options: ScaleHookOptions) {
    this.#rows = ports.rows;
    this.#log = ports.log;
    this.#options = options;
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#look().catch((error) => {
        if (!signal.aborted) this.#log.warn({ err: error }, 'the scale hook was not told');
      });
      await sleep(this.#options.interval, undefined, { signal }).catch(() => {});
    }
  }

  async #look(): Promise<void> {
    const last = await this.#rows.takeTurn(HOLD);
    if (!last) return;
    let told: { desired: number; waited: boolean } | undefined;
    try {
      told = await this.#news(last);
    } finally {
      await this.#rows.giveTurn(this.#options.interval, told);
    }
  }

  /** Tells what is new, if anything is. */
  async #news(last: {
    desired: number | null;
    waited: boolean;
  }): Promise<{ desired: number; waited: boolean } | undefined> {
    const demand = await this.#rows.read();
    const desired = desiredWorkers(demand, this.#options);
    const waited = demand.waiting.builds + demand.waiting.jobs > 0;
    if (desired === last.desired && waited === last.waited) return undefined;
    await this.#tell(desired, demand);
    return { desired, waited };
  }

  async #tell(desired: number, demand: PoolDemand): Promise<void> {
    const { url, secret } = this.#options;
    const body = JSON.stringify({ type: 'pool.scale', desired, ...demand });
    const signed = signatureHeaders({ id: randomUUID(), at: Date.now(), body }, [secret]);
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...signed },
      body,
      redirect: 'error',
      signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(TIMEOUT)]),
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`the scale hook answers ${answer.status}`);
  }
}

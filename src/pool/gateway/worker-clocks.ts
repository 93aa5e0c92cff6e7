import type { Question } from './worker-client.ts';
import type { LivingWorker } from './workers.ts';

/** What a worker's answer to `/_ping` says of its clock: milliseconds since 1970. */
const CLOCK_HEADER = 'slipway-clock';
/** What was measured is good for so long, in milliseconds. */
const FRESH = 30_000;
/** Workers tell whole milliseconds. */
const GRAIN = 1;
/** An answer that takes longer than that, in milliseconds, says little: somebody was busy. It is asked again, so often. */
const QUICK = 20;
const TRIES = 4;

interface Ports {
  /** Resolves to the headers of what a worker answers; throws `unavailable`. */
  readonly client: {
    open(
      to: LivingWorker,
      question: Question,
    ): Promise<{ headers: NodeJS.Dict<string | string[]>; resume(): void }>;
  };
}

/** How workers' clocks differ from this gateway's, so that what comes from several of them is told by one. */
export class WorkerClocks {
  readonly #client: Ports['client'];
  readonly #known = new Map<string, { at: number; ahead: Promise<number> }>();

  constructor({ client }: Ports) {
    this.#client = client;
  }

  /**
   * Milliseconds that a worker's clock is ahead of this one. 0 where the way there and back takes as long, so that the times
   * of workers that agree stay what they are, and of a worker that does not answer.
   */
  async ahead(worker: LivingWorker): Promise<number> {
    const now = performance.now();
    const known = this.#known.get(worker.name);
    if (known && now - known.at < FRESH) return await known.ahead;
    const ahead = this.#measure(worker).catch(() => {
      this.#known.delete(worker.name);
      return 0;
    });
    this.#known.set(worker.name, { at: now, ahead });
    return await ahead;
  }

  /** By the quickest of some answers. */
  async #measure(worker: LivingWorker): Promise<number> {
    let best = await this.#ask(worker);
    for (let tries = 1; tries < TRIES && best.onTheWay > QUICK; tries++) {
      const next = await this.#ask(worker);
      if (next.onTheWay < best.onTheWay) best = next;
    }
    // Also for a worker that does not say it.
    return Math.abs(best.ahead) > best.onTheWay + GRAIN ? Math.round(best.ahead) : 0;
  }

  async #ask(worker: LivingWorker): Promise<{ ahead: number; onTheWay: number }> {
    const [began, clock] = [performance.now(), Date.now()];
    const answer = await this.#client.open(worker, { path: '/_ping' });
    const onTheWay = (performance.now() - began) / 2;
    answer.resume();
    return { ahead: Number(answer.headers[CLOCK_HEADER]) - (clock + onTheWay), onTheWay };
  }
}

import { SingleFlight } from '#async/single-flight.ts';
import { unavailable } from '#errors/errors.ts';
import type { PoolContents } from './pool-contents.ts';
import type { WorkerClient } from './worker-client.ts';
import type { LivingWorker, Workers } from './workers.ts';

const PATIENCE = 30_000;

/** An image that a name means in the pool, and the workers that have it. */
export interface PoolImage {
  readonly id: string;
  readonly workers: readonly LivingWorker[];
}

/**
 * Images of the pool: a name means what it was given to last, on whichever worker that was; a worker that needs an image
 * gets it from another one.
 */
export class PoolImages {
  readonly #workers: Workers;
  readonly #client: WorkerClient;
  readonly #contents: PoolContents;
  readonly #copies = new SingleFlight<void>();

  constructor(ports: { workers: Workers; client: WorkerClient; contents: PoolContents }) {
    this.#contents = ports.contents;
    this.#workers = ports.workers;
    this.#client = ports.client;
  }

  /** Undefined when no worker has it. Workers are asked only when nobody told of such an image. */
  async find(reference: string): Promise<PoolImage | undefined> {
    await this.#contents.refresh();
    const living = await this.#workers.living();
    const known = this.#contents.find(reference, living);
    const named = living.filter(({ name }) => known?.workers.includes(name));
    if (known && named.length > 0) return { id: known.id, workers: named };
    const all = await this.everywhere(reference);
    const newest = all.toSorted((a, b) => (a.taggedAt < b.taggedAt ? 1 : -1))[0];
    if (!newest) return undefined;
    const workers = all.filter(({ id }) => id === newest.id).map(({ worker }) => worker);
    return { id: newest.id, workers };
  }

  /** What the name means on each worker that knows it. */
  async everywhere(reference: string): Promise<{ worker: LivingWorker; id: string; taggedAt: string }[]> {
    const path = `/images/${reference.split('/').map(encodeURIComponent).join('/')}/json`;
    const answers = await Promise.all(
      (await this.#workers.living()).map(async (worker) => {
        const answer = await this.#client.ask(worker, { path, patience: PATIENCE }).catch(() => undefined);
        if (answer?.status !== 200) return [];
        const { Id, Metadata } = answer.body as { Id: string; Metadata?: { LastTagTime?: string } };
        return [{ worker, id: Id, taggedAt: Metadata?.LastTagTime ?? '' }];
      }),
    );
    return answers.flat();
  }

  /** Brings an image to a worker, under the name that it was asked for. Throws `unavailable`. */
  async copy(reference: string, { id, workers }: PoolImage, to: LivingWorker): Promise<void> {
    const from = workers[0]!;
    await this.#copies.run(`${to.name} ${id} ${reference}`, async () => {
      const archive = await this.#client.open(from, {
        path: `/images/get?names=${encodeURIComponent(reference)}`,
      });
      if (archive.statusCode !== 200) {
        archive.destroy();
        throw unavailable(`worker ${from.name} does not give image ${reference} away`);
      }
      const loading = await this.#client.open(to, {
        method: 'POST',
        path: '/images/load?quiet=1',
        body: archive,
        headers: { 'Content-Type': 'application/x-tar', 'Transfer-Encoding': 'chunked' },
      });
      let said = '';
      for await (const chunk of loading.setEncoding('utf8') as AsyncIterable<string>) {
        said = (said + chunk).slice(-4096);
      }
      if (loading.statusCode === 200 && !said.includes('"error"')) return await this.#contents.touch(to);
      throw unavailable(
        `worker ${to.name} could not take image ${reference} from ${from.name}: ${said.trim()}`,
      );
    });
  }
}

import type { Logger } from 'pino';
import { SingleFlight } from '#async/single-flight.ts';
import { familiarReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import { workerContentShape } from '../workers/worker-content.ts';
import type { WorkerClient } from './worker-client.ts';
import type { KnownContent, WorkerContentsRepository } from './worker-contents-repository.ts';
import type { LivingWorker, Workers } from './workers.ts';

/** Where a worker says what images it has. */
export const CONTENT_PATH = '/pool/content';
const PATIENCE = 15_000;
/** How often a worker is read anew because somebody else was quicker. */
const ATTEMPTS = 5;

/** An image that a name means, and the workers that have it. */
export interface FoundImage {
  readonly id: string;
  readonly workers: readonly string[];
}

/**
 * What images workers have, without asking them: from their heartbeats, and read anew whenever a request that changed
 * something went through a gateway, before that is answered. So whoever pulled, built or tagged finds it afterwards, at
 * any gateway.
 */
export class PoolContents {
  readonly #rows: WorkerContentsRepository;
  readonly #workers: Workers;
  readonly #client: WorkerClient;
  readonly #tenant: string;
  readonly #log: Logger;
  readonly #known = new Map<string, { version: number; content: KnownContent }>();
  readonly #refreshes = new SingleFlight<void>();

  constructor(
    ports: { rows: WorkerContentsRepository; workers: Workers; client: WorkerClient; log: Logger },
    options: { tenant: string },
  ) {
    this.#rows = ports.rows;
    this.#workers = ports.workers;
    this.#client = ports.client;
    this.#log = ports.log;
    this.#tenant = options.tenant;
  }

  /** Reads what has changed. Workers that nothing is known of are asked. */
  async refresh(): Promise<void> {
    const versions = await this.#rows.versions(this.#tenant);
    for (const { name } of await this.#unknown(versions)) versions.set(name, 0);
    for (const [worker, version] of versions) {
      if (this.#known.get(worker)?.version === version) continue;
      const read = await this.#rows.read(worker, this.#tenant);
      if (read) this.#known.set(worker, read);
    }
  }

  /** What a name means among these workers: what it was given to last. As of the last refresh. */
  find(reference: string, workers: readonly LivingWorker[]): FoundImage | undefined {
    const meanings = workers.flatMap(({ name }) => {
      const meaning = this.#meaning(name, reference);
      return meaning ? [meaning] : [];
    });
    const newest = meanings.toSorted((a, b) => b.since - a.since)[0];
    if (!newest) return undefined;
    const having = workers.filter(({ name }) => this.#meaning(name, reference)?.id === newest.id);
    return { id: newest.id, workers: having.map(({ name }) => name) };
  }

  /** Whether a worker has what a name means there. */
  has(worker: string, reference: string): boolean {
    return this.#meaning(worker, reference) !== undefined;
  }

  /** Which part of an image's layers a worker has, 0 to 1, from the bottom on. */
  share(worker: string, id: string): number {
    const layers = [...this.#known.values()].find(({ content }) => content.images[id])?.content.images[id];
    if (!layers || layers.length === 0) return 0;
    let most = 0;
    for (const own of Object.values(this.#known.get(worker)?.content.images ?? {})) {
      const apart = layers.findIndex((layer, i) => own[i] !== layer);
      most = Math.max(most, apart < 0 ? layers.length : apart);
    }
    return most / layers.length;
  }

  /** Reads a worker's images anew, after something may have changed there. Trouble is logged: its heartbeats will tell. */
  async touch(worker: LivingWorker): Promise<void> {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const base = await this.#rows.version(worker.name, this.#tenant);
        const { status, body } = await this.#client.ask(worker, { path: CONTENT_PATH, patience: PATIENCE });
        if (status !== 200) throw new Error(`it answers ${status}`);
        const content = workerContentShape.parse(body);
        if (await this.#rows.keep(worker.name, this.#tenant, base, content)) return;
      }
    } catch (error) {
      this.#log.warn({ err: error, worker: worker.name }, 'what a worker has could not be read');
    }
  }

  async #unknown(versions: ReadonlyMap<string, number>): Promise<LivingWorker[]> {
    const unknown = (await this.#workers.living()).filter(({ name }) => !versions.get(name));
    await Promise.all(unknown.map((worker) => this.#refreshes.run(worker.name, () => this.touch(worker))));
    return unknown;
  }

  #meaning(worker: string, reference: string): { id: string; since: number } | undefined {
    const content = this.#known.get(worker)?.content;
    if (!content) return undefined;
    const name = nameOf(reference);
    const named = name === undefined ? undefined : content.names[name];
    if (named) return named;
    const [, hex] = /^(?:sha256:)?([0-9a-f]{4,64})$/.exec(reference) ?? [];
    if (hex === undefined) return undefined;
    const ids = Object.keys(content.images).filter((id) => id.startsWith(`sha256:${hex}`));
    return ids.length === 1 ? { id: ids[0]!, since: 0 } : undefined;
  }
}

function nameOf(reference: string): string | undefined {
  try {
    const { domain, path, tag, digest } = withDefaultTag(parseImageReference(reference));
    // An image is known by its digest in a repository, whatever tag is written before that.
    return familiarReference({ domain, path, ...(digest ? { digest } : tag && { tag }) });
  } catch {
    return undefined;
  }
}

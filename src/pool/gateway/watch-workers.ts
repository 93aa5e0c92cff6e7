import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { unavailable } from '#errors/errors.ts';
import type { PlacedKind, PlacementsRepository } from './placements-repository.ts';
import type { PoolContents } from './pool-contents.ts';
import { isPredefined } from './pool-objects.ts';
import { ABSENT, type WorkerClient } from './worker-client.ts';
import type { LivingWorker, Workers } from './workers.ts';

const LOOK = 1_000;
const PAUSE = 1_000;
const PATIENCE = 30_000;
/** How long a name stays reserved for what does not come: longer than an image takes to get to a worker. */
const STALE = 15 * 60_000;
/** In looks. */
const SELDOM = 60;
const EVENTS = `/events?filters=${encodeURIComponent(JSON.stringify({ type: ['container', 'network', 'volume', 'image'] }))}`;
const KINDS: readonly PlacedKind[] = ['container', 'network', 'volume'];

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly project: string | undefined;
}

/**
 * Keeps the directory true to what workers have: compares it with each worker's lists when it comes (back), and follows
 * its events from then on. Any number of gateways may do so.
 */
export class WorkersWatch {
  readonly #workers: Workers;
  readonly #client: WorkerClient;
  readonly #placements: PlacementsRepository;
  readonly #contents: PoolContents;
  readonly #log: Logger;
  readonly #changed: (worker: string) => void;
  readonly #watched = new Map<string, Watch>();

  constructor(ports: {
    workers: Workers;
    client: WorkerClient;
    placements: PlacementsRepository;
    contents: PoolContents;
    log: Logger;
    /** Hears that other containers run on a worker. */
    published?: { changed(worker: string): void } | undefined;
  }) {
    this.#workers = ports.workers;
    this.#client = ports.client;
    this.#placements = ports.placements;
    this.#contents = ports.contents;
    this.#log = ports.log;
    this.#changed = (worker) => ports.published?.changed(worker);
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (let round = 0; !signal.aborted; round++) {
      try {
        if (round % SELDOM === 0) await this.#placements.releaseOlder(STALE);
        const living = await this.#workers.living();
        this.#leave(living);
        for (const worker of living) if (!this.#watched.has(worker.name)) this.#begin(worker, signal);
      } catch (error) {
        this.#log.warn({ err: error }, 'the workers are not known');
      }
      await sleep(LOOK, undefined, { signal }).catch(() => {});
    }
    await Promise.all([...this.#watched.values()].map(({ done }) => done));
  }

  #begin(worker: LivingWorker, signal: AbortSignal): void {
    const leaving = new AbortController();
    const watching = this.#watch(worker, AbortSignal.any([signal, leaving.signal]));
    const done = watching.finally(() => this.#watched.delete(worker.name));
    this.#watched.set(worker.name, { epoch: worker.epoch, leaving, done });
  }

  /** A connection to a machine that lost its power is silent for ever: what was away begins anew. */
  #leave(living: readonly LivingWorker[]): void {
    for (const [name, { epoch, leaving }] of this.#watched) {
      if (!living.some((worker) => worker.name === name && worker.epoch === epoch)) leaving.abort();
    }
  }

  async #watch(worker: LivingWorker, signal: AbortSignal): Promise<void> {
    try {
      const events = await this.#client.open(worker, { path: EVENTS, signal });
      if (events.statusCode === ABSENT) {
        events.resume();
        this.#workers.leaveOut(worker.name);
        throw unavailable(`worker ${worker.name} has no engine for this tenant`);
      }
      await this.reconcile(worker);
      this.#changed(worker.name);
      await this.#contents.touch(worker);
      let rest = '';
      for await (const chunk of events.setEncoding('utf8') as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop()!;
        const told = lines.filter(Boolean).map((line) => JSON.parse(line) as EngineEvent);
        for (const event of told) if (event.Type !== 'image') await this.#follow(worker, event, event.Type);
        if (told.some(({ Type }) => Type === 'image')) await this.#contents.touch(worker);
      }
    } catch (error) {
      if (!signal.aborted) this.#log.debug({ err: error, worker: worker.name }, 'a worker is not watched');
    }
    this.#changed(worker.name);
    // Not at once: it may be away.
    await sleep(PAUSE, undefined, { signal }).catch(() => {});
  }

  /** What it has and nobody knew of is taken up; what it no longer has is forgotten. */
  async reconcile(worker: LivingWorker): Promise<void> {
    for (const kind of KINDS) {
      // Read first: what was there before the list and is not in it is gone.
      const known = await this.#placements.ofWorker(worker.name, kind);
      const listed = await this.#list(worker, kind);
      const ids = new Set(listed.map(({ id }) => id));
      for (const { id } of known) if (id !== null && !ids.has(id)) await this.#placements.forget(kind, id);
      const knownIds = new Set(known.map(({ id }) => id));
      for (const each of listed) {
        if (!knownIds.has(each.id)) await this.#placements.adopt({ ...each, kind, worker: worker.name });
      }
    }
  }

  async #list(worker: LivingWorker, kind: PlacedKind): Promise<Listed[]> {
    const path = { container: '/containers/json?all=1', network: '/networks', volume: '/volumes' }[kind];
    const { body } = await this.#client.ask(worker, { path, patience: PATIENCE });
    const rows: ListedRow[] = (kind === 'volume' ? body.Volumes : body) ?? [];
    return rows
      .filter(({ Driver }) => kind !== 'network' || Driver !== 'overlay')
      .map(({ Id, Name, Names, Labels }) => {
        const name = (Name ?? Names?.[0] ?? '').replace(/^\//, '');
        return { id: Id ?? name, name, project: Labels?.['com.docker.compose.project'] };
      })
      .filter(({ name }) => !isPredefined(kind, name));
  }

  async #follow(worker: LivingWorker, event: EngineEvent, kind: PlacedKind): Promise<void> {
    const { Action: action, Actor: actor } = event;
    if (kind === 'container' && ['start', 'die', 'unpause'].includes(action)) this.#changed(worker.name);
    const { name } = actor.Attributes;
    if (action === 'destroy' || action === 'remove') await this.#placements.forget(kind, actor.ID);
    if (kind === 'container' && action === 'rename' && name) {
      await this.#placements.rename(kind, actor.ID, name);
    }
    if (kind === 'container' && action === 'create' && name) {
      const project = actor.Attributes['com.docker.compose.project'];
      await this.#placements.adopt({ kind, id: actor.ID, name, worker: worker.name, project });
    }
  }
}

interface ListedRow {
  readonly Id?: string;
  readonly Name?: string;
  readonly Names?: readonly string[];
  readonly Driver?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

interface Watch {
  readonly epoch: number;
  readonly leaving: AbortController;
  readonly done: Promise<void>;
}

interface EngineEvent {
  readonly Type: PlacedKind | 'image';
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string | undefined>> };
}

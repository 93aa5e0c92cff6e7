import type { Logger } from 'pino';
import { canceled, unavailable } from '#errors/errors.ts';
import { type BuildTurn, type BuildWish, inTurn } from '../scheduler/admit.ts';
import type { BuildTurnsRepository, NewTurn } from './build-turns-repository.ts';
import type { PoolContents } from './pool-contents.ts';
import type { LivingWorker, Workers } from './workers.ts';

/** Milliseconds after which those that wait are looked at, though nothing is known to have happened here. */
const LOOK = 250;
/** See `keepEvery`. */
const KEEP = 5_000;
/** For workers that do not say how many builds they do at once. */
const SLOTS = 8;

export interface TurnRequest {
  readonly project: string;
  readonly session?: string | undefined;
  readonly wish: BuildWish;
  readonly exempt?: boolean;
  readonly signal: AbortSignal;
  /** The first is 1. Called whenever it changes; never for a build that gets a worker at once. */
  readonly onPosition?: (position: number) => void;
}

/** A build's place on a worker, until it is disposed. */
export interface Turn extends AsyncDisposable {
  readonly worker: string;
}

interface Waiter {
  readonly turn: NewTurn;
  readonly onPosition: (position: number) => void;
  readonly resolve: (worker: string) => void;
  readonly reject: (error: unknown) => void;
  id: number;
  position: number;
  /** It has a worker, or has gone. */
  isOver: boolean;
}

/**
 * Builds of clients that wait for them, in the order in which they get workers. The order is the database's, and all
 * gateways keep it: each gives workers to whoever is next, wherever that one's client is.
 */
export class BuildTurns implements AsyncDisposable {
  readonly #rows: BuildTurnsRepository;
  readonly #workers: Workers;
  readonly #contents: PoolContents;
  readonly #tenant: string;
  readonly #keepEvery: number;
  readonly #log: Logger;
  readonly #waited: (seconds: number) => void;
  readonly #waiting = new Map<number, Waiter>();
  readonly #running = new Map<number, { readonly turn: NewTurn; readonly worker: string }>();
  readonly #leaving = new Set<Promise<void>>();
  #round: Promise<void> | undefined;
  #again = false;
  #looking: NodeJS.Timeout | undefined;
  #keeping: NodeJS.Timeout | undefined;

  constructor(
    ports: {
      rows: BuildTurnsRepository;
      workers: Workers;
      contents: PoolContents;
      log: Logger;
      /** Told how long each build waited. */
      waited?: (seconds: number) => void;
    },
    options: {
      tenant: string;
      /** Milliseconds between two words to the pool that the clients are still there. */
      keepEvery?: number;
    },
  ) {
    this.#rows = ports.rows;
    this.#workers = ports.workers;
    this.#contents = ports.contents;
    this.#log = ports.log;
    this.#waited = ports.waited ?? (() => {});
    this.#tenant = options.tenant;
    this.#keepEvery = options.keepEvery ?? KEEP;
  }

  /**
   * Waits for a worker, in line with all others. Throws `canceled` when the client has gone, `unavailable` when the worker
   * that it has to be is away.
   */
  async take({ signal, onPosition = () => {}, ...request }: TurnRequest): Promise<Turn> {
    const began = performance.now();
    const { project, session, wish, exempt = false } = request;
    const turn = { tenant: this.#tenant, project, session, wish, exempt };
    const id = await this.#rows.enter(turn);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const waiter: Waiter = { turn, onPosition, resolve, reject, id, position: 0, isOver: false };
    this.#waiting.set(id, waiter);
    const gone = () => reject(canceled('the client has gone'));
    signal.addEventListener('abort', gone, { once: true });
    if (signal.aborted) gone();
    try {
      this.#stir();
      const worker = await promise;
      this.#running.set(waiter.id, { turn, worker });
      this.#waited((performance.now() - began) / 1000);
      return { worker, [Symbol.asyncDispose]: () => this.#leave(waiter.id) };
    } catch (error) {
      waiter.isOver = true;
      this.#waiting.delete(waiter.id);
      await this.#leave(waiter.id);
      throw error;
    } finally {
      signal.removeEventListener('abort', gone);
      waiter.isOver = true;
      this.#waiting.delete(waiter.id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { reject } of this.#waiting.values()) reject(unavailable('this gateway is about to stop'));
    await this.#round;
    while (this.#leaving.size > 0) await Promise.all(this.#leaving);
    clearInterval(this.#looking);
    clearInterval(this.#keeping);
  }

  /** Looks now, or again when a look is under way. */
  #stir(): void {
    this.#time();
    if (this.#round) {
      this.#again = true;
      return;
    }
    this.#round = this.#look()
      .catch((error) => this.#log.warn({ err: error }, 'builds that wait cannot be looked at'))
      .finally(() => {
        this.#round = undefined;
        if (this.#again) {
          this.#again = false;
          this.#stir();
        }
      });
  }

  async #look(): Promise<void> {
    const living = await this.#workers.living();
    this.#refuseAway(living);
    await this.#contents.refresh();
    const offers = living.map(({ name, state, offer }) => ({
      name,
      state: state === 'draining' ? ('draining' as const) : ('ready' as const),
      platforms: offer.platforms,
      emulates: offer.emulates,
      slots: offer.builds ?? SLOTS,
    }));
    // Who comes while this goes on is not among those that it tells of.
    const waiting = [...this.#waiting.values()];
    const turns = await this.#rows.round(offers, ({ wish }, worker) => this.#imagesOf(wish, worker));
    await this.#tell(turns, waiting);
  }

  async #tell(turns: readonly BuildTurn[], waiting: readonly Waiter[]): Promise<void> {
    const workers = new Map(turns.map(({ id, worker }) => [id, worker]));
    const positions = new Map(inTurn(turns).map(({ id }, index) => [id, index + 1]));
    for (const waiter of waiting) {
      const worker = workers.get(waiter.id);
      const position = positions.get(waiter.id);
      if (worker !== undefined) waiter.resolve(worker);
      else if (position === undefined) await this.#enterAgain(waiter);
      else if (position !== waiter.position) {
        waiter.position = position;
        waiter.onPosition(position);
      }
    }
  }

  /** One that was forgotten while this process did not get on. */
  async #enterAgain(waiter: Waiter): Promise<void> {
    if (!this.#waiting.delete(waiter.id)) return;
    waiter.id = await this.#rows.enter(waiter.turn);
    if (waiter.isOver) return await this.#leave(waiter.id);
    this.#waiting.set(waiter.id, waiter);
    this.#again = true;
  }

  #refuseAway(living: readonly LivingWorker[]): void {
    for (const { turn, reject } of this.#waiting.values()) {
      const { pinned } = turn.wish;
      if (pinned === undefined || living.some(({ name }) => name === pinned)) continue;
      reject(unavailable(`worker ${pinned}, which has the session of this build, is away`));
    }
  }

  #imagesOf({ images = [] }: BuildWish, worker: string): number {
    return images.filter((image) => this.#contents.has(worker, image)).length;
  }

  async #leave(id: number): Promise<void> {
    this.#running.delete(id);
    const leaving = this.#rows
      .leave(id)
      .catch((error) => this.#log.warn({ err: error }, 'a build that is over still counts for a while'))
      .finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
    await leaving;
    if (this.#waiting.size > 0) this.#stir();
  }

  #time(): void {
    this.#looking ??= setInterval(() => {
      if (this.#waiting.size > 0) return this.#stir();
      clearInterval(this.#looking);
      this.#looking = undefined;
    }, LOOK);
    this.#keeping ??= setInterval(() => void this.#keep(), this.#keepEvery);
  }

  async #keep(): Promise<void> {
    const running = [...this.#running];
    const ids = [...this.#waiting.keys(), ...this.#running.keys()];
    if (ids.length === 0) {
      clearInterval(this.#keeping);
      this.#keeping = undefined;
      return;
    }
    try {
      const kept = await this.#rows.keep(ids);
      for (const [id, { turn, worker }] of running) {
        if (kept.has(id) || !this.#running.has(id)) continue;
        // Forgotten while this process did not get on; it may be over by now.
        await this.#rows.restore(id, turn, worker);
        if (!this.#running.has(id)) await this.#rows.leave(id);
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'builds under way could not be kept');
    }
  }
}

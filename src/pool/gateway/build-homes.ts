import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { canceled, unavailable } from '#errors/errors.ts';
import type { BuildHomesRepository } from './build-homes-repository.ts';
import type { BuildTurns, TurnRequest } from './build-turns.ts';
import type { BuildTurnsRepository } from './build-turns-repository.ts';
import type { LivingWorker, Workers } from './workers.ts';

/** Clients ask for a build's progress at the moment that they ask for the build. */
const PATIENCE = 10_000;
/** A session of which no build is heard gets a worker all the same. */
const GRACE = 3_000;
/** A build waits so long for its session to say what it is about: they come over connections of their own. */
const INTRODUCTION = 300;
const LOOK = 25;
const SELDOM = 250;

export type BuildRequest = Omit<TurnRequest, 'project'> & {
  readonly project?: string;
  /** What its progress is asked for by. */
  readonly reference?: string;
};

/** A build's place on a worker, until it is disposed. */
export interface StartedBuild extends AsyncDisposable {
  readonly worker: LivingWorker;
}

/** The worker of each build, which is that of the session of its client, whichever gateway hears of it. */
export class BuildHomes {
  readonly #homes: BuildHomesRepository;
  readonly #workers: Workers;
  readonly #turns: BuildTurns;
  readonly #rows: BuildTurnsRepository;
  readonly #tenant: string;
  readonly #given = new EventEmitter().setMaxListeners(0);

  constructor(
    ports: {
      homes: BuildHomesRepository;
      workers: Workers;
      turns: BuildTurns;
      rows: BuildTurnsRepository;
    },
    options: { tenant: string },
  ) {
    this.#homes = ports.homes;
    this.#workers = ports.workers;
    this.#turns = ports.turns;
    this.#rows = ports.rows;
    this.#tenant = options.tenant;
  }

  /**
   * The worker of a session, once a build of it has one. `project` is what builds of one context have in common: their
   * caches are warm where the last one was. Throws `canceled` when `signal` aborts before.
   */
  async ofSession(id: string, project: string, signal: AbortSignal): Promise<LivingWorker> {
    const known = await this.#homes.workerOf('session', id);
    if (known) return await this.#workers.named(known);
    await this.#rows.noteSession(this.#tenant, id, project);
    const began = performance.now();
    for (;;) {
      const waited = performance.now() - began;
      await this.#news(id, waited < GRACE ? LOOK : SELDOM, signal);
      const worker = await this.#homes.workerOf('session', id);
      if (worker) return await this.#workers.named(worker);
      if (waited > GRACE && !(await this.#rows.isExpected(this.#tenant, id))) break;
    }
    const chosen = await this.#choose(project || id);
    return await this.#workers.named(await this.#homes.keep('session', id, chosen.name));
  }

  /** Waits until a worker takes a build, whose session is there from then on. Throws as `BuildTurns.take`. */
  async begin({ reference, ...request }: BuildRequest): Promise<StartedBuild> {
    const { session } = request;
    if (session === undefined) return await this.#begun(await this.#turns.take(asTurn(request)), reference);
    const home = request.wish.pinned ?? (await this.#homes.workerOf('session', session));
    const project = request.project || (home === undefined ? await this.#introduced(session) : '');
    const turn = await this.#turns.take({ ...asTurn(request, home), project });
    const worker = await this.#homes.keep('session', session, turn.worker);
    this.#given.emit(session);
    if (worker === turn.worker) return await this.#begun(turn, reference);
    // Its session got a worker in between.
    await turn[Symbol.asyncDispose]();
    return await this.#begun(await this.#turns.take({ ...asTurn(request, worker), project }), reference);
  }

  /** A session is over. */
  async end(id: string): Promise<void> {
    await this.#homes.end('session', id);
    await this.#rows.forgetSession(this.#tenant, id);
  }

  /** A build is over whose client does not ask for its past. */
  async over(reference: string): Promise<void> {
    await this.#homes.end('build', reference);
  }

  /** The worker of a build, once it has one. Throws `canceled` when `signal` aborts before. */
  async worksOn(reference: string, signal: AbortSignal): Promise<LivingWorker> {
    for (let waited = 0; !signal.aborted; waited += LOOK) {
      const worker = await this.buildNow(reference);
      if (worker) return worker;
      await sleep(waited < PATIENCE ? LOOK : SELDOM, undefined, { signal }).catch(() => {});
    }
    throw canceled('the client has gone');
  }

  /** The worker of a build, if it has one now. */
  async buildNow(reference: string): Promise<LivingWorker | undefined> {
    const worker = await this.#homes.workerOf('build', reference);
    return worker === undefined ? undefined : await this.#workers.named(worker);
  }

  async #begun(
    turn: AsyncDisposable & { readonly worker: string },
    reference: string | undefined,
  ): Promise<StartedBuild> {
    try {
      if (reference) await this.#homes.keep('build', reference, turn.worker);
      const worker = await this.#workers.named(turn.worker);
      return { worker, [Symbol.asyncDispose]: () => turn[Symbol.asyncDispose]() };
    } catch (error) {
      await turn[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #introduced(session: string): Promise<string> {
    for (let waited = 0; waited < INTRODUCTION; waited += LOOK) {
      const project = await this.#rows.projectOf(this.#tenant, session);
      if (project !== undefined) return project;
      await sleep(LOOK);
    }
    return '';
  }

  /** Until the session may have a worker. */
  async #news(session: string, pause: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const given = () => stop.abort();
    this.#given.once(session, given);
    try {
      await sleep(pause, undefined, { signal: AbortSignal.any([signal, stop.signal]) }).catch(() => {});
    } finally {
      this.#given.off(session, given);
    }
    if (signal.aborted) throw canceled('the client has gone');
  }

  /** For a session that builds nothing. */
  async #choose(project: string): Promise<LivingWorker> {
    const ready = (await this.#workers.some()).filter(({ state }) => state === 'ready');
    if (ready.length === 0) throw unavailable('no worker of the pool takes builds: all are being drained');
    return ready.toSorted((a, b) => (weight(project, a.name) < weight(project, b.name) ? 1 : -1))[0]!;
  }
}

function asTurn(
  { project = '', wish, ...request }: Omit<BuildRequest, 'reference'>,
  pinned?: string,
): TurnRequest {
  return { ...request, project, wish: pinned === undefined ? wish : { ...wish, pinned } };
}

function weight(project: string, worker: string): string {
  return createHash('sha256').update(`${project}\0${worker}`).digest('hex');
}

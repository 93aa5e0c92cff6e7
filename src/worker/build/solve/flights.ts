import { canceled } from '#errors/errors.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { Holdable } from './lease.ts';
import { SharedSession } from './shared-session.ts';
import { StepBroadcast, type StepWatcher } from './step-broadcast.ts';

/** One that wants a step done. */
export interface Passenger {
  readonly watcher: StepWatcher;
  readonly session: BuildSession;
  /** Rejects when it does not want it any more. */
  readonly left: Promise<never>;
  /** It was the last to leave: `ended` resolves when nothing of the step goes on. */
  abandoned(ended: Promise<void>): void;
}

export interface FlightContext {
  /** Aborts when nobody wants the step any more. */
  readonly signal: AbortSignal;
  readonly progress: StepBroadcast;
  /** That of whoever is still there, also when the task is done. */
  readonly session: BuildSession;
}

export interface Outcome<T> {
  readonly value: T;
  /** What the value stands on. Each that asked for it has a hold of its own. */
  readonly lease: Holdable;
}

interface Flight<T> {
  readonly result: Promise<Outcome<T>>;
  readonly controller: AbortController;
  readonly progress: StepBroadcast;
  readonly passengers: Set<Passenger>;
  /** Of those who have taken the outcome: some of it may have to be brought from a client later. */
  readonly served: Set<BuildSession>;
  /** Those who have not taken their hold of the outcome yet. */
  waiting: number;
}

/**
 * Steps under way, of all builds, by what identifies them: who wants one that is under way joins it, hears what it has
 * missed, and may leave without harm to the others. When the last has left, it is aborted.
 */
export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>();

  get size(): number {
    return this.#flights.size;
  }

  /** The task makes an outcome that it holds once. Rejects as the passenger's `left` does. */
  async join(
    key: string,
    passenger: Passenger,
    task: (context: FlightContext) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    const flight = this.#flights.get(key) ?? this.#start(key, task);
    flight.passengers.add(passenger);
    flight.progress.add(passenger.watcher);
    flight.waiting++;
    let outcome: Outcome<T> | undefined;
    try {
      outcome = await Promise.race([flight.result, passenger.left]);
      outcome.lease.retain();
      flight.served.add(passenger.session);
      return outcome;
    } finally {
      flight.progress.remove(passenger.watcher);
      flight.passengers.delete(passenger);
      if (!outcome) this.#leave(key, flight, passenger);
      if (--flight.waiting === 0) {
        // The task's own hold; of an outcome that comes when all have left, too.
        flight.result.then(
          ({ lease }) => lease.release(),
          () => undefined,
        );
      }
    }
  }

  #start(key: string, task: (context: FlightContext) => Promise<Outcome<T>>): Flight<T> {
    const controller = new AbortController();
    const { signal } = controller;
    const progress = new StepBroadcast();
    const passengers = new Set<Passenger>();
    const served = new Set<BuildSession>();
    const sessions = () => [...new Set([...[...passengers].map((one) => one.session), ...served])];
    const session = new SharedSession(sessions, signal);
    const result = Promise.resolve()
      .then(() => task({ signal, progress, session }))
      .finally(() => this.#forget(key, flight));
    result.catch(() => undefined);
    const flight: Flight<T> = { result, controller, progress, passengers, served, waiting: 0 };
    this.#flights.set(key, flight);
    return flight;
  }

  /** Whoever wants the step from now on begins anew: this one is on its way down. */
  #leave(key: string, flight: Flight<T>, passenger: Passenger): void {
    if (flight.passengers.size > 0) return;
    this.#forget(key, flight);
    flight.controller.abort(canceled());
    passenger.abandoned(
      flight.result.then(
        () => undefined,
        () => undefined,
      ),
    );
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}

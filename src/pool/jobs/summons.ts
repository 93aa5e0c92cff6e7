import type { WorkerOffer } from '../workers/worker-leases-repository.ts';
import type { Claimant } from './job.ts';
import { meets } from './requirement.ts';
import type { QueuedJob, RequirementsRepository } from './requirements-repository.ts';

/** A worker that waits for news of the queue. */
export interface Waiter {
  /** Undefined while it has no lease. */
  readonly claimant: Claimant | undefined;
  /** Jobs that it could take. */
  readonly free: number;
}

interface Waiting {
  readonly worker: string;
  readonly offer: WorkerOffer;
  readonly call: () => void;
}

interface Ports {
  readonly requirements: Pick<RequirementsRepository, 'offerOf' | 'first'>;
}

/** In milliseconds: when it is looked whether those that were called took what there was. */
const AGAIN = 250;
/** So many jobs of a requirement are looked at at once. */
const AT_MOST = 500;

/**
 * Calls workers to the queue, as many as there are jobs and only such as can do them: if each of a thousand that are idle
 * came for each job, the database would do little else. A call is a hint. Who was called and does not come is made up
 * for by another, and in the end every worker looks by itself.
 */
export class Summons implements Disposable {
  readonly #requirements: Ports['requirements'];
  /** All who wait; those that could do something, with what. The longest waiting first. */
  readonly #waiting = new Map<() => void, Waiting | undefined>();
  #count = 0;
  #isLooking = false;
  #isStale = false;
  #next: NodeJS.Timeout | undefined;

  constructor({ requirements }: Ports) {
    this.#requirements = requirements;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#next);
  }

  /** Jobs may have been queued. */
  queued(): void {
    this.#count++;
    void this.#look();
  }

  /** What some worker is at may be wanted no more: all look. */
  changed(): void {
    this.#count++;
    for (const call of this.#waiting.keys()) call();
  }

  /** Where a waiter is that has seen all so far. */
  get now(): number {
    return this.#count;
  }

  /**
   * Until the waiter is called, or `patience` milliseconds have passed, or the signal aborts; at once when there was
   * something after `seen`.
   */
  async wait(waiter: Waiter, seen: number, patience: number, signal: AbortSignal): Promise<void> {
    const able = await this.#able(waiter);
    if (this.#count > seen || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, patience);
    const call = () => resolve();
    this.#waiting.set(call, able && { ...able, call });
    signal.addEventListener('abort', call);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', call);
      this.#waiting.delete(call);
    }
  }

  async #able({ claimant, free }: Waiter): Promise<Omit<Waiting, 'call'> | undefined> {
    if (!claimant || free === 0) return undefined;
    const offer = await this.#requirements.offerOf(claimant);
    return offer && { worker: claimant.worker, offer };
  }

  /** One look at a time; what comes during one is seen by the next. */
  async #look(): Promise<void> {
    this.#isStale = true;
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        await this.#callForJobs();
      }
    } catch {
      // The database is away, which those who wait find out, and say, when they look by themselves.
    } finally {
      this.#isLooking = false;
    }
  }

  async #callForJobs(): Promise<void> {
    const ready = this.#ready().length;
    if (ready === 0) return;
    const jobs = await this.#requirements.first(Math.min(ready, AT_MOST));
    const able = this.#ready();
    const groups = [...Map.groupBy(jobs, ({ requirement }) => requirement)].map(([requirement, group]) => ({
      group,
      candidates: able.filter(({ offer }) => meets(offer, requirement)),
    }));
    const called = new Set<Waiting>();
    let again = Number.POSITIVE_INFINITY;
    // Those that few can do have the choice first.
    for (const { group, candidates } of groups.toSorted(
      (a, b) => a.candidates.length - b.candidates.length,
    )) {
      for (const job of group) {
        const one = candidates.find((each) => !called.has(each) && isFor(job, each));
        if (one) called.add(one);
        else if (job.keptFor !== null && candidates.length > 0) again = Math.min(again, job.keptFor.duration);
        else if (job.keptFor === null) break;
      }
    }
    for (const { call } of called) call();
    this.#lookIn(called.size > 0 ? Math.min(AGAIN, again) : again);
  }

  #ready(): Waiting[] {
    return [...this.#waiting.values()].filter((each) => each !== undefined);
  }

  #lookIn(duration: number): void {
    clearTimeout(this.#next);
    if (duration === Number.POSITIVE_INFINITY) return;
    this.#next = setTimeout(() => void this.#look(), duration).unref();
  }
}

function isFor({ keptFor }: QueuedJob, { worker }: Waiting): boolean {
  return keptFor === null || keptFor.worker === worker;
}

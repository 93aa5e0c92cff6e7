import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyedLock } from '#async/keyed-lock.ts';
import { notFound, SlipwayError } from '#errors/errors.ts';
import type { RepositoryName } from '#oci/reference.ts';
import { continuedElsewhere, type HeldUpload, type UploadsRepository } from './uploads-repository.ts';

/** In times that a hold lasts: a holder that died is waited for, one that goes on and on is not. */
const PATIENCE = 4;
/** In milliseconds. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 500;

/** An upload while a request works on it. */
export interface UploadHold {
  readonly upload: HeldUpload;
  /**
   * Throws `conflict` when the upload is known to have passed on to another process, as this one was silent for too
   * long. Until that is known, what is written goes nowhere and is not acknowledged.
   */
  throwIfLost(): void;
  /** The upload is where nobody else writes to from now on. */
  movedTo(location: string): void;
  /** The task ended the upload: there is nothing to release. */
  over(): void;
}

/**
 * Has requests for one upload run one after another, whichever process they come to. A hold is a mark in the
 * database that is renewed while its request runs: a process that was killed loses what it held a few seconds later.
 */
export class UploadHolds {
  readonly #uploads: UploadsRepository;
  readonly #holder = `${hostname()}/${process.pid}/${randomUUID()}`;
  /** Those of one process need not ask the database whose turn it is. */
  readonly #turns = new KeyedLock();
  readonly #working = new Set<string>();
  readonly #held = new Map<string, Hold>();
  #renewal: NodeJS.Timeout | undefined;

  constructor({ uploads }: { uploads: UploadsRepository }) {
    this.#uploads = uploads;
  }

  /**
   * Runs a task while holding an upload. Throws `not-found` (`BLOB_UPLOAD_UNKNOWN`), and `conflict` when another
   * request does not let go of it, or had it before the task's end: what the task did is not to be acknowledged then.
   */
  async run<T>(repository: RepositoryName, id: string, task: (hold: UploadHold) => Promise<T>): Promise<T> {
    return await this.#turns.run(id, async () => {
      this.#working.add(id);
      try {
        return await this.#holding(await this.#acquire(repository, id), task);
      } finally {
        this.#working.delete(id);
      }
    });
  }

  /** Whether a request of this process works on an upload, or waits for another process to let go of it. */
  isWorking(id: string): boolean {
    return this.#working.has(id);
  }

  async #holding<T>(hold: Hold, task: (hold: UploadHold) => Promise<T>): Promise<T> {
    const { id } = hold.upload;
    this.#held.set(id, hold);
    this.#renewal ??= setInterval(() => void this.#renew(), this.#uploads.hold / 4);
    let done = false;
    try {
      const result = await task(hold);
      done = true;
      return result;
    } finally {
      this.#held.delete(id);
      if (this.#held.size === 0) this.#stop();
      await this.#release(hold, done);
    }
  }

  async #acquire(repository: RepositoryName, id: string): Promise<Hold> {
    const deadline = performance.now() + PATIENCE * this.#uploads.hold;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      const taken = await this.#uploads.take(repository, id, this.#holder);
      if (taken) return new Hold(taken);
      if (!(await this.#uploads.exists(repository, id))) throw unknown(id);
      if (performance.now() > deadline) {
        throw new SlipwayError('conflict', 'another request for this upload is under way', {
          code: 'BLOB_UPLOAD_INVALID',
        });
      }
      await sleep(pause * (0.5 + Math.random()));
    }
  }

  async #release(hold: Hold, acknowledged: boolean): Promise<void> {
    if (hold.ended) return;
    try {
      const released = await this.#uploads.release(hold.upload);
      if (!released && acknowledged) throw continuedElsewhere();
    } catch (error) {
      // A hold that cannot be let go of runs out; what failed before is what the client has to hear of.
      if (acknowledged) throw error;
    }
  }

  async #renew(): Promise<void> {
    const held = [...this.#held.values()];
    const ids = held.map(({ upload }) => upload.id);
    // A database that does not answer may do so the next time. If the hold ran out meanwhile, and nobody wanted it, it
    // goes on.
    const renewed = await this.#uploads.renew(this.#holder, ids).catch(() => undefined);
    if (!renewed) return;
    const kept = new Set(renewed);
    for (const hold of held) {
      // One that was released and taken again meanwhile is another hold.
      if (this.#held.get(hold.upload.id) === hold && !kept.has(hold.upload.id)) hold.lost = true;
    }
  }

  #stop(): void {
    clearInterval(this.#renewal);
    this.#renewal = undefined;
  }
}

class Hold implements UploadHold {
  upload: HeldUpload;
  lost = false;
  ended = false;

  constructor(upload: HeldUpload) {
    this.upload = upload;
  }

  throwIfLost(): void {
    if (this.lost) throw continuedElsewhere();
  }

  movedTo(location: string): void {
    this.upload = { ...this.upload, location, suspect: false };
  }

  over(): void {
    this.ended = true;
  }
}

function unknown(id: string) {
  return notFound('blob upload unknown to registry', { code: 'BLOB_UPLOAD_UNKNOWN', detail: { id } });
}

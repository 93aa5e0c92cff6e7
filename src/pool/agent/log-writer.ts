import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '#errors/errors.ts';
import type { Claim, Claimant } from '../jobs/job.ts';
import type { JobQueue } from '../jobs/job-queue.ts';

/** So long a line waits for others, in milliseconds. */
const LINGER = 200;
/** What is sent at once. Whoever writes more waits. */
const MAX_BATCH = 1024 * 1024;
/** How often it is tried to send what could not be, and the first pause, in milliseconds, before the next. */
const TRIES = 10;
const PAUSE = 200;

/** A job's log as it is written: sent in batches, none larger than 1 MiB, and all of it bounded. */
export class LogWriter {
  readonly #queue: JobQueue;
  readonly #claim: Claim;
  readonly #claimant: Claimant;
  readonly #maxBytes: number;
  readonly #lost: (why: string) => void;
  #start = 0;
  #batch: Uint8Array[] = [];
  #size = 0;
  #full = false;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();

  /** `lost` hears when the claim is no longer good, or the pool cannot be told. */
  constructor(
    { queue, lost }: { queue: JobQueue; lost: (why: string) => void },
    { claim, claimant, maxBytes }: { claim: Claim; claimant: Claimant; maxBytes: number },
  ) {
    this.#queue = queue;
    this.#lost = lost;
    this.#claim = claim;
    this.#claimant = claimant;
    this.#maxBytes = maxBytes;
  }

  /** After what earlier attempts wrote. */
  async begin(): Promise<void> {
    this.#start = await this.#queue.logSize(this.#claim);
  }

  /** Resolves when more may be written. */
  async write(given: Uint8Array | string): Promise<void> {
    if (this.#full) return;
    const bytes = typeof given === 'string' ? Buffer.from(given) : Buffer.from(given);
    const room = this.#maxBytes - this.#start - this.#size;
    this.#add(bytes.subarray(0, Math.max(0, room)));
    if (bytes.length > room) {
      this.#full = true;
      this.#add(Buffer.from(`\n[the log is longer than ${this.#maxBytes} bytes: the rest is not kept]\n`));
    }
    if (this.#size >= MAX_BATCH) await this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), LINGER);
  }

  /** Sends what waits. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending = this.#sending.then(() => this.#send());
    return this.#sending;
  }

  #add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#batch.push(bytes);
    this.#size += bytes.length;
  }

  async #send(): Promise<void> {
    if (this.#size === 0) return;
    const bytes = Buffer.concat(this.#batch);
    this.#batch = [];
    this.#size = 0;
    const start = this.#start;
    this.#start += bytes.length;
    for (let tries = 1; ; tries++) {
      try {
        if (await this.#queue.log(this.#claim, this.#claimant, start, bytes)) return;
        // It may have been added the first time, and only the answer was lost.
        if ((await this.#queue.logSize(this.#claim)) >= this.#start) return;
        return this.#lost('its claim is not good any more');
      } catch (error) {
        if (tries === TRIES) return this.#lost(`its log could not be kept: ${messageOf(error)}`);
        await sleep(PAUSE * tries);
      }
    }
  }
}

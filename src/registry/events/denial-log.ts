import type { Logger } from 'pino';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Counter } from '#observability/metrics.ts';
import { addressKey } from '../limits/request-limits.ts';
import { type Rate, SharedBuckets } from '../limits/shared-buckets.ts';
import type { Actor, NewEvent } from './event.ts';
import { recordEvents } from './events-repository.ts';

const MINUTE = 60_000;
/** Whoever is refused more often learns nothing new, and neither does the audit log. */
const PER_ADDRESS: Rate = { count: 20, period: MINUTE };
const ALL: Rate = { count: 200, period: MINUTE };
const INTERVAL = 1_000;

export interface DenialLogPorts {
  readonly db: RegistryDatabase;
  readonly logger: Logger;
  /** Counts the denials that there was no room for. */
  readonly dropped: Counter<never>;
}

/**
 * Writes denied requests to the audit log, beside the requests and a second's together. What a flood of them can write
 * is bounded, for each address and for all; the rest is counted. Disposing writes what is left.
 */
export class DenialLog implements AsyncDisposable {
  readonly #ports: DenialLogPorts;
  readonly #buckets = new SharedBuckets({ size: 4096 });
  readonly #timer: NodeJS.Timeout;
  #waiting: { actor: Actor; event: NewEvent }[] = [];
  #writing: Promise<void> = Promise.resolve();

  constructor(ports: DenialLogPorts) {
    this.#ports = ports;
    this.#timer = setInterval(() => this.flush(), INTERVAL);
    this.#timer.unref();
  }

  record(actor: Actor, event: Omit<NewEvent, 'outcome'>): void {
    const from = addressKey(actor.address ?? '');
    const room = this.#buckets.take(from, PER_ADDRESS).allowed && this.#buckets.take('all', ALL).allowed;
    if (room) this.#waiting.push({ actor, event: { ...event, outcome: 'denied' } });
    else this.#ports.dropped.add({});
  }

  /** Resolves when what was recorded before is written. */
  flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    if (batch.length > 0) this.#writing = this.#writing.then(() => this.#write(batch));
    return this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  async #write(batch: readonly { actor: Actor; event: NewEvent }[]): Promise<void> {
    const { db, logger } = this.#ports;
    try {
      for (const { actor, event } of batch) await recordEvents(db, actor, [event]);
    } catch (error) {
      logger.error(
        { err: error, lost: batch.length },
        'denied requests could not be written to the audit log',
      );
    }
  }
}

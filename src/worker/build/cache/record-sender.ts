import type { SharedStep } from './cache-store.ts';
import type { LocalCache } from './local-cache.ts';
import type { RegistryRecords } from './registry-records.ts';

export interface RecordSenderPorts {
  readonly records: Pick<LocalCache, 'unsent' | 'sent'>;
  readonly registry: Pick<RegistryRecords, 'save'>;
  /** Told of what keeps it from knowing what to send. */
  readonly report: (error: unknown) => void;
}

/** Longer than the registry is left alone after a failure. */
const RETRY_MS = 20_000;
const BATCH = 50;

/**
 * Brings finished steps to the registry, behind the back of builds. What is not there yet is marked in the database: it
 * is sent after the next start when this process ends before, and again when the registry did not take it.
 */
export class RecordSender implements Disposable {
  readonly #ports: RecordSenderPorts;
  readonly #retryMs: number;
  readonly #sending = new Map<string, Promise<boolean>>();
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(ports: RecordSenderPorts, options: { retryMs?: number } = {}) {
    this.#ports = ports;
    this.#retryMs = options.retryMs ?? RETRY_MS;
  }

  /** Sends what an earlier process did not get to. */
  start(): void {
    this.#round ??= this.#sendAll()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#round = undefined;
      });
  }

  /** Later. `id` is that of a record that is marked. Resolves, to whether that is settled, and never rejects. */
  send(id: string, step: SharedStep): Promise<boolean> {
    return this.#send(id, step);
  }

  /** What is under way is left to itself: it stays marked. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** One after the other, until one fails: the rest waits then. */
  async #sendAll(): Promise<void> {
    for (;;) {
      const batch = await this.#ports.records.unsent(BATCH, [...this.#sending.keys()]);
      if (batch.length === 0) return;
      for (const { id, step } of batch) {
        if (this.#stopped) return;
        if (!(await this.#send(id, step))) return;
      }
    }
  }

  #send(id: string, step: SharedStep): Promise<boolean> {
    const sending = this.#sending.get(id) ?? this.#saved(id, step);
    this.#sending.set(id, sending);
    return sending;
  }

  async #saved(id: string, step: SharedStep): Promise<boolean> {
    try {
      const settled = await this.#ports.registry.save(step);
      if (this.#stopped) return false;
      if (settled) await this.#ports.records.sent(id);
      else this.#later();
      return settled;
    } catch (error) {
      this.#failed(error);
      return false;
    } finally {
      this.#sending.delete(id);
    }
  }

  #later(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.start();
    }, this.#retryMs).unref();
  }

  #failed(error: unknown): void {
    if (!this.#stopped) this.#ports.report(error);
  }
}

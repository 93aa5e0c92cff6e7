import { unlessGivenUp } from '#async/unless-given-up.ts';
import { messageOf } from '#errors/errors.ts';

/** Something a role cannot serve without. `probe` resolves when it can be reached. */
export interface HealthCheck {
  readonly name: string;
  probe(): Promise<unknown>;
}

export interface Readiness {
  readonly ready: boolean;
  /** Each check's name with `ok` or what is wrong. */
  readonly checks: Readonly<Record<string, string>>;
}

/** An answer is good for this long, however many ask. */
const FRESH = 1_000;

/** Whether a role should be sent requests. */
export class Health {
  readonly #checks: readonly HealthCheck[];
  readonly #timeout: number;
  #draining = false;
  #last: { at: number; result: Promise<Record<string, string>> } | undefined;

  /** `timeout` is in milliseconds, for each check. */
  constructor(checks: readonly HealthCheck[], options: { timeout: number }) {
    this.#checks = checks;
    this.#timeout = options.timeout;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** From now on it is not ready: it is about to stop. */
  drain(): void {
    this.#draining = true;
  }

  async readiness(): Promise<Readiness> {
    const checks = await this.#results();
    const failed = Object.values(checks).some((state) => state !== 'ok');
    if (!this.#draining) return { ready: !failed, checks };
    return { ready: false, checks: { ...checks, draining: 'about to stop' } };
  }

  #results(): Promise<Record<string, string>> {
    const now = performance.now();
    if (!this.#last || now - this.#last.at > FRESH) this.#last = { at: now, result: this.#probeAll() };
    return this.#last.result;
  }

  async #probeAll(): Promise<Record<string, string>> {
    const states = this.#checks.map(async (check) => [check.name, await this.#stateOf(check)] as const);
    return Object.fromEntries(await Promise.all(states));
  }

  async #stateOf(check: HealthCheck): Promise<string> {
    const probe = async () => {
      await check.probe();
      return 'ok';
    };
    try {
      const state = await unlessGivenUp(probe(), { within: this.#timeout });
      return state ?? `no answer within ${this.#timeout} ms`;
    } catch (error) {
      return messageOf(error) || 'failed';
    }
  }
}

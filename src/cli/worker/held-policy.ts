import { Semaphore } from '#async/semaphore.ts';
import type { TenantPolicy } from '#pool/tenants/tenant-policy.ts';

type Limits = TenantPolicy['worker'];

/** What an engine is held to: one policy after another, and none that its limits could not be set to. */
export class HeldPolicy {
  readonly #hold: (limits: Limits, former: Limits) => Promise<void>;
  readonly #turns = new Semaphore(1);
  #held: TenantPolicy;

  /** `hold`: sets other limits than those of `first`, which are set. */
  constructor(first: TenantPolicy, hold: (limits: Limits, former: Limits) => Promise<void>) {
    this.#held = first;
    this.#hold = hold;
  }

  get current(): TenantPolicy {
    return this.#held;
  }

  /** Throws as `hold`: then the former one counts, and whoever asks next has it tried again. */
  async use(policy: TenantPolicy): Promise<void> {
    await this.alone(async () => {
      const former = this.#held.worker;
      if (JSON.stringify(former) !== JSON.stringify(policy.worker)) await this.#hold(policy.worker, former);
      this.#held = policy;
    });
  }

  /** While no limits are set. */
  alone<T>(task: () => Promise<T>): Promise<T> {
    return this.#turns.run(task);
  }
}

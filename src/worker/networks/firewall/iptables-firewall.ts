import { runCommand } from '../linux/command.ts';
import type { Firewall, FirewallState } from './firewall.ts';
import { chainsOf, type RulesByChain, removeInput, restoreInput, rulesOf } from './rules.ts';

export interface IptablesFirewallOptions {
  /** Begins the names of our chains, unique on the machine; at most 20 characters. */
  readonly prefix: string;
  readonly state: () => FirewallState;
}

/** Waits for whoever else is changing the rules. */
const PATIENT = ['-w', '10'];

/** The packet filter through `iptables-restore`: one process brings all of our rules up to date at once. */
export class IptablesFirewall implements Firewall {
  readonly #prefix: string;
  readonly #state: () => FirewallState;
  /** What the kernel has; undefined while that is not known. */
  #written: RulesByChain | undefined;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor({ prefix, state }: IptablesFirewallOptions) {
    this.#prefix = prefix;
    this.#state = state;
  }

  sync(): Promise<void> {
    this.#next ??= this.#afterRunning(() => {
      this.#next = undefined;
      return this.#write();
    });
    return this.#next;
  }

  async repair(): Promise<void> {
    if (!this.#written || (await this.#missingHooks()).length === 0) return;
    this.#written = undefined;
    await this.sync();
  }

  remove(): Promise<void> {
    return this.#afterRunning(async () => {
      const missing = await this.#missingHooks();
      const present = this.#hooks().filter((hook) => !missing.includes(hook));
      this.#written = undefined;
      await runCommand('iptables-restore', [...PATIENT, '--noflush'], removeInput(this.#prefix, present));
    });
  }

  async #write(): Promise<void> {
    const missing = this.#written ? [] : await this.#missingHooks();
    const wanted = rulesOf(this.#prefix, this.#state());
    const input = restoreInput(this.#prefix, this.#written ?? new Map(), wanted, missing);
    if (input === '') return;
    this.#written = undefined;
    await runCommand('iptables-restore', [...PATIENT, '--noflush'], input);
    this.#written = wanted;
  }

  #hooks(): string[] {
    return chainsOf(this.#prefix).flatMap(({ hooks }) => hooks);
  }

  async #missingHooks(): Promise<string[]> {
    const tables = ['nat', 'filter'] as const;
    const saved = await Promise.all(tables.map((table) => runCommand('iptables-save', ['-t', table])));
    const lines = new Set(saved.join('\n').split('\n'));
    return this.#hooks().filter((hook) => !lines.has(`-A ${hook}`));
  }

  /** One run after another, also after one that failed. */
  #afterRunning(task: () => Promise<void>): Promise<void> {
    const run = this.#running.then(task);
    this.#running = run.catch(() => {});
    return run;
  }
}

import type { Firewall, FirewallState } from './firewall.ts';
import { IptablesFirewall } from './iptables-firewall.ts';

type State = () => FirewallState;

/**
 * One filter for several engines of a machine. Each by itself would let out what another one keeps out: rules that accept
 * end the way of a packet, and whose come first was a matter of who began last.
 */
export class SharedFirewall {
  readonly #states = new Set<State>();
  readonly #firewall: Firewall;

  /** `prefix` as of `IptablesFirewall`. */
  constructor(
    prefix: string,
    create: (state: State) => Firewall = (state) => new IptablesFirewall({ prefix, state }),
  ) {
    this.#firewall = create(() => {
      const states = [...this.#states].map((state) => state());
      return {
        networks: states.flatMap(({ networks }) => networks),
        ports: states.flatMap(({ ports }) => ports),
      };
    });
  }

  /** An engine's part of it; its rules are those of `state` until they are removed. */
  part(state: State): Firewall {
    const sync = () => {
      this.#states.add(state);
      return this.#firewall.sync();
    };
    return {
      sync,
      repair: () => this.#firewall.repair(),
      remove: () => {
        this.#states.delete(state);
        return this.#states.size === 0 ? this.#firewall.remove() : this.#firewall.sync();
      },
    };
  }
}

import type { OverlayPeer } from './overlay-link.ts';
import type { Underlay } from './underlay.ts';

/** One machine's tunnels for several engines: who one of them speaks with is not taken from the others. */
export class SharedUnderlay {
  readonly #underlay: Underlay;
  readonly #peers = new Map<object, readonly OverlayPeer[]>();

  constructor(underlay: Underlay) {
    this.#underlay = underlay;
  }

  /** An engine's part of it. What is of the machine goes when all parts were removed. */
  part(): Underlay {
    const underlay = this.#underlay;
    const key = {};
    this.#peers.set(key, []);
    return {
      endOf: (network) => underlay.endOf(network),
      addressOf: (peer, network) => underlay.addressOf(peer, network),
      self: () => underlay.self(),
      usePeers: (peers) => {
        this.#peers.set(key, peers);
        return underlay.usePeers(this.#all());
      },
      remove: async () => {
        this.#peers.delete(key);
        await (this.#peers.size === 0 ? underlay.remove() : underlay.usePeers(this.#all()));
      },
    };
  }

  #all(): OverlayPeer[] {
    const all = [...this.#peers.values()].flat();
    return [...new Map(all.map((peer) => [peer.worker, peer])).values()];
  }
}

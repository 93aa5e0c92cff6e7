import type { OverlayPeer } from './overlay-link.ts';
import type { Underlay } from './underlay.ts';

/** One machine's tunnels for several engines: who one of them speaks with is not taken from the others. */
export class SharedUnderlay {
  readonly #underlay: Underlay;
  readonly #peers = new Map<string, readonly OverlayPeer[]>();

  constructor(underlay: Underlay) {
    this.#underlay = underlay;
  }

  /**
   * An engine's part of it, as soon as that makes use of it. One that begins again takes up what the former one of this
   * `owner` had: its containers go on meanwhile. What is of the machine goes when all parts were removed.
   */
  part(owner: string): Underlay {
    const underlay = this.#underlay;
    return {
      endOf: (network) => {
        this.#peers.set(owner, this.#peers.get(owner) ?? []);
        return underlay.endOf(network);
      },
      addressOf: (peer, network) => underlay.addressOf(peer, network),
      self: () => underlay.self(),
      usePeers: (peers) => {
        this.#peers.set(owner, peers);
        return underlay.usePeers(this.#all());
      },
      remove: async () => {
        this.#peers.delete(owner);
        await (this.#peers.size === 0 ? underlay.remove() : underlay.usePeers(this.#all()));
      },
    };
  }

  #all(): OverlayPeer[] {
    const all = [...this.#peers.values()].flat();
    return [...new Map(all.map((peer) => [peer.worker, peer])).values()];
  }
}

import type { Network } from '../network.ts';
import type { OverlayPeer } from './overlay-link.ts';

/** One end of the tunnels of a network. */
export interface TunnelEnd {
  readonly address: string;
  /** UDP, the same on all workers. */
  readonly port: number;
  /** What a packet of the network can be long. */
  readonly mtu: number;
}

/** PORT: what overlay networks run over: the machines' own network, or an encrypted one on top of it. */
export interface Underlay {
  /** Throws `unavailable` when this machine cannot carry such a network, and says why. */
  endOf(network: Network): Promise<TunnelEnd>;
  /** Where packets for a worker are sent; undefined while it cannot be reached so. */
  addressOf(peer: OverlayPeer, network: Network): string | undefined;
  /** Others of whom packets may come and go encrypted. */
  usePeers(peers: readonly OverlayPeer[]): Promise<void>;
  /** What others have to know of this worker. */
  self(): Promise<Omit<OverlayPeer, 'worker'>>;
  /** Takes away what it made on this machine. */
  remove(): Promise<void>;
}

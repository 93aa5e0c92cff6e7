import type { Network } from '../network.ts';

/** A container on an overlay network, of whichever worker. */
export interface OverlayEndpoint {
  readonly networkId: string;
  readonly containerId: string;
  readonly endpointId: string;
  readonly containerName: string;
  readonly ipv4Address: string;
  readonly macAddress: string;
  /** What it answers to on this network. */
  readonly names: readonly string[];
}

export interface PooledEndpoint extends OverlayEndpoint {
  readonly worker: string;
  /** Its worker was not heard of for too long: it may be gone. */
  readonly isAway: boolean;
}

/** Where a worker gets packets of the others. */
export interface OverlayPeer {
  readonly worker: string;
  /** IPv4. */
  readonly address: string;
  /** In base64; null where it cannot encrypt. */
  readonly publicKey: string | null;
  readonly wireguardPort: number | null;
}

/** An overlay network as the pool has it. */
export interface OverlayState {
  readonly network: Network;
  /** Grows with each change. */
  readonly revision: number;
  readonly endpoints: readonly PooledEndpoint[];
  /** Of every worker with an endpoint, this one too. */
  readonly peers: readonly OverlayPeer[];
}

/** What the pool has to say of networks that a worker knows. */
export interface OverlayNews {
  /** Says which news these are: with it, only later ones are answered. */
  readonly tag: string;
  /** Undefined: none after those of the tag. */
  readonly networks?: readonly OverlayState[];
  /** Networks that the pool has no more. */
  readonly gone?: readonly string[];
}

/** An endpoint that is to be. */
export type OverlayWish = Omit<OverlayEndpoint, 'ipv4Address' | 'macAddress'> & {
  /** Any free one, when it is not given. */
  readonly ipv4Address?: string;
  /** Follows from the address, when it is not given. */
  readonly macAddress?: string;
};

/**
 * PORT: a worker's pool, which says who has which address on networks that reach over several workers. Everything throws
 * `unavailable` while the pool does not answer.
 */
export interface OverlayLink {
  /** By ID or name. */
  find(reference: string): Promise<Network | undefined>;
  /**
   * Gives a container an address. Answers all who are on the network, this endpoint among them. Throws `not-found` for a
   * network that is no more, `conflict` for an address that is taken, `invalid` for one that cannot be.
   */
  join(wish: OverlayWish): Promise<OverlayState>;
  leave(networkId: string, containerId: string): Promise<void>;
  rename(endpoint: OverlayEndpoint): Promise<void>;
  /** Says where this worker is, and all endpoints that it has: others of its name are no more. */
  sync(self: Omit<OverlayPeer, 'worker'>, endpoints: readonly OverlayEndpoint[]): Promise<void>;
  /** What is new of some networks; waits for it, but not long. */
  news(networkIds: readonly string[], tag: string | undefined): Promise<OverlayNews>;
}

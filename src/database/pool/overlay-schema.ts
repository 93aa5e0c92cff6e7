import type { Generated } from 'kysely';

export interface OverlaySchema {
  overlay_lock: OverlayLockTable;
  overlay_networks: OverlayNetworksTable;
  overlay_endpoints: OverlayEndpointsTable;
  overlay_workers: OverlayWorkersTable;
  published_ports: PublishedPortsTable;
}

/** One row, which whoever makes a network holds: subnets are compared with all others. */
interface OverlayLockTable {
  id: number;
  next_vni: number;
}

/** Networks that reach over all workers. Their names are in `placements`, with those of all networks. */
interface OverlayNetworksTable {
  /** 64 hex digits. */
  id: string;
  tenant: string;
  /** The number that tells their packets apart, unique in the pool. */
  vni: number;
  /** JSON: `Network`. */
  network: string;
  /** Grows with each change of who is on it. */
  revision: number;
  /** The IPv4 address that was given out last, as a number. */
  last_address: number;
  created_at: number;
}

/** Who has which address. */
export interface OverlayEndpointsTable {
  network_id: string;
  container_id: string;
  /** The name of the worker. */
  worker: string;
  endpoint_id: string;
  container_name: string;
  ipv4_address: string;
  mac_address: string;
  /** JSON: the names that it answers to. */
  names: string;
}

/** Where workers get each other's packets. */
interface OverlayWorkersTable {
  /** Its name. */
  worker: string;
  /** IPv4. */
  address: string;
  /** Of WireGuard, in base64, and the port that it listens at; null where it cannot encrypt. */
  public_key: string | null;
  wireguard_port: number | null;
}

/** Ports of gateways: a container that runs, or is being started, has them. */
interface PublishedPortsTable {
  protocol: string;
  port: number;
  container_id: string;
  worker: string;
  /** Whose container it is; '': the operator's. */
  tenant: Generated<string>;
  /** Null once it runs. */
  starting_at: number | null;
}

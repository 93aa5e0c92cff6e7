import type { Generated } from 'kysely';

export interface WorkersSchema {
  workers: WorkersTable;
}

/** The pool's machines. */
export interface WorkersTable {
  id: string;
  /** Unique among all that are not gone. */
  name: string;
  /** Where gateways reach its APIs: `host:port`. */
  address: string;
  /** Grows when it joins and when its lease is taken away: what an earlier epoch says no longer counts. */
  epoch: number;
  /** Of the database's clock, milliseconds since 1970. */
  lease_expires_at: number;
  state: 'ready' | 'draining' | 'lost';
  /** 1 when an operator wants it to get nothing new. */
  drained: Generated<number>;
  /** 1 when it says itself that it is about to stop. */
  leaving: Generated<number>;
  /** JSON: `WorkerOffer`. */
  offer: string;
  joined_at: number;
}

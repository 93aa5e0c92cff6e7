import type { Generated } from 'kysely';

export interface EventsSchema {
  events: EventsTable;
}

/**
 * Every write, and every request that was denied. It is the audit log, and the outbox of what is told to others:
 * an event of a write is in the same transaction as the write.
 */
export interface EventsTable {
  /** Grows; on PostgreSQL a smaller one may become visible after a larger one. */
  id: Generated<number>;
  /** Milliseconds since 1970. */
  at: number;
  action: string;
  outcome: 'done' | 'denied';
  actor: string;
  address: string | null;
  user_agent: string | null;
  request_id: string | null;
  repository: string | null;
  digest: string | null;
  tag: string | null;
  media_type: string | null;
  /** In bytes. */
  size: number | null;
  /** What else there is to say, as JSON. */
  detail: string | null;
}

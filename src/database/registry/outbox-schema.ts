import type { Generated } from 'kysely';

export interface OutboxSchema {
  event_consumers: EventConsumersTable;
  event_deliveries: EventDeliveriesTable;
}

/** Who reads the events, and how far each has read. */
interface EventConsumersTable {
  /** `webhook:<id>`, `replication:<name>`, `search`. */
  name: string;
  /** As the event feed gave it. */
  cursor: string;
}

/** What a consumer has yet to do about an event, and for a while what it did. */
interface EventDeliveriesTable {
  id: Generated<number>;
  consumer: string;
  /** The event as JSON: it may be gone from `events` before the last attempt. */
  event: string;
  /** `dead` after the last attempt; somebody has to ask for another one. */
  state: 'pending' | 'delivered' | 'dead';
  attempts: number;
  /** When it is to be tried; while someone tries, when another may. Milliseconds since 1970. */
  due_at: number;
  /** What the last attempt came to, in the consumer's words. */
  result: string | null;
  created_at: number;
  updated_at: number;
}

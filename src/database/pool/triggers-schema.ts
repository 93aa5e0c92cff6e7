import type { Generated } from 'kysely';

export interface TriggersSchema {
  job_triggers: TriggersTable;
  job_trigger_events: TriggerEventsTable;
  job_hooks: HooksTable;
  job_hook_deliveries: HookDeliveriesTable;
}

/** What asks for jobs by itself: times, pushes, images that change. Times are of the database's clock. */
interface TriggersTable {
  /** Random: whoever sends events knows it. */
  id: string;
  tenant: string;
  /** Unique to its tenant. */
  name: string;
  /** 1: its tenant's own clients have made it; 0: the pool's operator. */
  confined: Generated<number>;
  /** JSON: `TriggerSource`. */
  source: string;
  /** JSON: what is asked for, with its placeholders. */
  submission: string;
  /** What events are signed with; null where there are none. */
  secret: string | null;
  enabled: number;
  /** When it has to be looked at next: whoever moves it on does so alone. */
  due_at: number | null;
  /** Of an image: the digest that was seen last. */
  seen: string | null;
  fired_at: number | null;
  /** The job, or the pipeline, that came of it last. */
  last_id: string | null;
  last_error: string | null;
  created_at: number;
}

/** What a trigger was told already. */
interface TriggerEventsTable {
  trigger_id: string;
  event: string;
  at: number;
}

/** Who is told of jobs. */
interface HooksTable {
  id: string;
  tenant: string;
  /** 1: its tenant's own clients have made it, and it hears of jobs that they have asked for; 0: the pool's operator. */
  confined: Generated<number>;
  url: string;
  /** The states that it hears of, each between commas: `,failed,succeeded,`. */
  states: string;
  secret: string;
  enabled: number;
  /** What the receiver answered last. */
  last_result: string | null;
  last_at: number | null;
  created_at: number;
}

/** What is still to be said: written by the change of the job itself. */
interface HookDeliveriesTable {
  id: Generated<number>;
  hook_id: string;
  job_id: number;
  state: string;
  /** The job's attempt then. */
  attempt: number;
  at: number;
  tries: number;
  due_at: number;
}

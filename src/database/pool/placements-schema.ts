import type { Generated } from 'kysely';

export interface PlacementsSchema {
  placements: PlacementsTable;
  build_sessions: BuildSessionsTable;
}

export type PlacedKind = 'container' | 'network' | 'volume';

/** Which worker has an object, and who has a name. */
interface PlacementsTable {
  key: Generated<number>;
  /** Whose; '' for the operator's. */
  tenant: string;
  kind: PlacedKind;
  /** Unique among a tenant's of a kind; null where workers came with two of the same. */
  name: string | null;
  /** The engine's ID; null while it is being made. */
  object_id: string | null;
  /** The name of the worker. */
  worker: string;
  /** Of Compose: what belongs together. */
  project: string | null;
  /** Whether a container was ever made with it. */
  used: number;
  created_at: number;
}

/** Clients that serve their files to a build, until they leave, and builds, for a while. */
interface BuildSessionsTable {
  tenant: string;
  id: string;
  kind: 'session' | 'build';
  worker: string;
  created_at: number;
}

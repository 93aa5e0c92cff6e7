/** What processes that share a database tell each other. */
export interface CoordinationSchema {
  leases: LeasesTable;
  changes: ChangesTable;
}

/** Who does what only one may do. A row stays when its lease ends, so that tokens grow. */
interface LeasesTable {
  name: string;
  /** For people: which process. */
  holder: string;
  /** Another, larger one for each holder. */
  token: number;
  /** By the database's clock, in milliseconds since 1970. */
  expires_at: number;
}

/** How often each topic changed. */
interface ChangesTable {
  topic: string;
  version: number;
}

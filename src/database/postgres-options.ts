/** How a PostgreSQL database is reached, and within which bounds. Times in milliseconds. */
export interface PostgresOptions {
  /**
   * `postgres://user:password@host:port/database`, with libpq's parameters for TLS: `sslmode`, `sslrootcert`,
   * `sslcert`, `sslkey`.
   */
  readonly url: string;
  /** What the server shows in its list of connections. */
  readonly applicationName: string;
  /** At most so many connections; who needs one more waits. */
  readonly maxConnections: number;
  /** How long to wait for a connection before the database counts as unavailable. */
  readonly connectTimeout: number;
  /** How long one statement may take; 0 is without a limit. */
  readonly statementTimeout: number;
}

import pg from 'pg';
import { messageOf, unavailable } from '#errors/errors.ts';
import type { PostgresOptions } from './postgres-options.ts';

const INT8 = 20;
const NUMERIC = 1700;
/** An answer that does not come at all is waited for this much longer than the server may take for it. */
const SILENCE = 10_000;
/** A transaction whose process went silent is ended by the server after this long: its locks stop others. */
const IDLE_IN_TRANSACTION = 60_000;

/** Connections that are made when needed, and forgotten when they break. */
export function createPool(options: PostgresOptions): pg.Pool {
  const { connectTimeout, statementTimeout } = options;
  const pool = new pg.Pool({
    ...clientConfig(options),
    max: options.maxConnections,
    connectionTimeoutMillis: connectTimeout,
    idleTimeoutMillis: 60_000,
    ...(statementTimeout > 0 && {
      statement_timeout: statementTimeout,
      query_timeout: statementTimeout + SILENCE,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION,
    }),
  });
  // A connection that breaks says so to whoever uses it; without these it would end the process as well.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** What every connection has in common, pooled or not. Throws `unavailable` for a URL that is none. */
export function clientConfig(options: Pick<PostgresOptions, 'url' | 'applicationName'>): pg.ClientConfig {
  return {
    connectionString: connectionString(options.url),
    application_name: options.applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: { getTypeParser },
  };
}

/** `sslmode` means here what it means to libpq and every other client of PostgreSQL. */
function connectionString(text: string): string {
  try {
    const url = new URL(text);
    if (url.searchParams.has('sslmode')) url.searchParams.set('uselibpqcompat', 'true');
    return url.href;
  } catch (error) {
    // Not the URL itself: there is a password in it.
    throw unavailable(`the database's URL cannot be read: ${messageOf(error)}`);
  }
}

/** Counts, sizes and times are numbers, as they are on SQLite. */
const getTypeParser: typeof pg.types.getTypeParser = (oid, format) =>
  oid === INT8 || oid === NUMERIC ? toNumber : pg.types.getTypeParser(oid as never, format as never);

function toNumber(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw new Error(`the database holds ${text}, which is too large for a number`);
  }
  return number;
}

import { messageOf, SlipwayError, systemCode, unavailable } from '#errors/errors.ts';

/** What an error of the database means for what was under way. */
export type PostgresFailure =
  /** Another transaction was in the way: the same one again will succeed. */
  | 'conflict'
  /** The connection is of no more use; what was not committed did not happen. */
  | 'connection'
  /** The server cannot do it now. */
  | 'resources'
  /** A bug, or a rule of the schema: an error of its own. */
  | 'statement';

// PostgreSQL manual, appendix A: error codes. The first two characters are the class.
const CODES: Readonly<Record<string, PostgresFailure>> = {
  '40001': 'conflict', // serialization_failure
  '40P01': 'conflict', // deadlock_detected
  '55P03': 'conflict', // lock_not_available
  '57P01': 'connection', // admin_shutdown
  '57P02': 'connection', // crash_shutdown
  '57P03': 'connection', // cannot_connect_now
  '57P05': 'connection', // idle_session_timeout
  '25P03': 'connection', // idle_in_transaction_session_timeout
  '25006': 'connection', // read_only_sql_transaction: the server became a standby
  '57014': 'resources', // query_canceled: statement_timeout
  '3D000': 'connection', // invalid_catalog_name: no such database
};
const CLASSES: Readonly<Record<string, PostgresFailure>> = {
  '08': 'connection', // connection exception
  '28': 'connection', // invalid authorization
  '53': 'resources', // insufficient resources: connections, memory, disk
  '58': 'resources', // system error
};

/** What `pg` throws without a code. */
const BROKEN =
  /connection terminated|timeout exceeded when trying to connect|read timeout|not queryable|SSL|TLS/i;

export function failureOf(error: unknown): PostgresFailure {
  const code = systemCode(error) ?? '';
  // A server's error has five characters and a severity; a socket's and the resolver's begin with E.
  if (/^E[A-Z_]+$/.test(code) || code.startsWith('ERR_') || code.startsWith('CERT_')) return 'connection';
  if (code.length === 5) return CODES[code] ?? CLASSES[code.slice(0, 2)] ?? 'statement';
  if (code !== '') return /certificate/i.test(messageOf(error)) ? 'connection' : 'statement';
  return BROKEN.test(messageOf(error)) ? 'connection' : 'statement';
}

/** The error as the layers above know it: `unavailable` unless the statement itself is to blame. */
export function toSlipwayError(error: unknown): unknown {
  if (error instanceof SlipwayError) return error;
  const failure = failureOf(error);
  if (failure === 'statement') return error;
  const message =
    failure === 'conflict'
      ? 'the database is busy with conflicting changes'
      : failure === 'resources'
        ? `the database cannot do this now: ${messageOf(error)}`
        : `the database is unavailable: ${reason(error)}`;
  return unavailable(message, { cause: error });
}

/** What failed, of an error that passed `toSlipwayError`. */
export function failureBehind(error: unknown): PostgresFailure {
  return failureOf(error instanceof SlipwayError ? error.cause : error);
}

/** An attempt at each of a name's addresses fails with an error that says nothing itself. */
function reason(error: unknown): string {
  const [first] = error instanceof AggregateError ? error.errors : [];
  return messageOf(first ?? error);
}

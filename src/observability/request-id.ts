import { randomUUID } from 'node:crypto';

/** What is safe in a header, a log line and a database, and short. */
const SANE = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

/** The id that a client or proxy gave a request, if it is a sane one, else a new one. */
export function requestIdFrom(header: string | string[] | undefined): string {
  return typeof header === 'string' && SANE.test(header) ? header : randomUUID();
}

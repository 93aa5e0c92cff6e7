/**
 * The error kinds that every layer throws. A kind says what happened in the words of the domain; one file
 * per API maps kinds to that API's status codes and bodies. Anything that is not a `SlipwayError` is a bug.
 */
export type ErrorKind =
  | 'not-found'
  | 'conflict'
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'unavailable'
  | 'too-large'
  | 'too-many'
  | 'range'
  | 'unsupported'
  | 'not-modified'
  | 'precondition'
  | 'timeout'
  | 'canceled';

export class SlipwayError extends Error {
  readonly kind: ErrorKind;
  /** Finer code for APIs that have one, such as the Distribution API's `BLOB_UNKNOWN`. */
  readonly code: string | undefined;
  /** Structured detail that an API may show to its caller. */
  readonly detail: unknown;

  constructor(
    kind: ErrorKind,
    message: string,
    options: { code?: string; detail?: unknown; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SlipwayError';
    this.kind = kind;
    this.code = options.code;
    this.detail = options.detail;
  }
}

type Options = ConstructorParameters<typeof SlipwayError>[2];

export const notFound = (message: string, options?: Options) =>
  new SlipwayError('not-found', message, options);
export const conflict = (message: string, options?: Options) =>
  new SlipwayError('conflict', message, options);
export const invalid = (message: string, options?: Options) => new SlipwayError('invalid', message, options);
export const unauthorized = (message: string, options?: Options) =>
  new SlipwayError('unauthorized', message, options);
export const forbidden = (message: string, options?: Options) =>
  new SlipwayError('forbidden', message, options);
export const unavailable = (message: string, options?: Options) =>
  new SlipwayError('unavailable', message, options);
export const tooLarge = (message: string, options?: Options) =>
  new SlipwayError('too-large', message, options);
/** `detail: { retryAfter }` says after how many seconds to come again. */
export const tooMany = (message: string, options?: Options) => new SlipwayError('too-many', message, options);
export const unsupported = (message: string, options?: Options) =>
  new SlipwayError('unsupported', message, options);
export const notModified = (message: string) => new SlipwayError('not-modified', message);
export const timedOut = (message: string, options?: Options) => new SlipwayError('timeout', message, options);
export const canceled = (message = 'canceled') => new SlipwayError('canceled', message);

export function isKind(error: unknown, kind: ErrorKind): error is SlipwayError {
  return error instanceof SlipwayError && error.kind === kind;
}

/** The system error code (`ENOENT`, `EEXIST` …) of a thrown value, if it has one. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** A thrown value's message, for putting into another message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

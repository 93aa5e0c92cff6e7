import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { orDiskFull } from '#errors/disk-full.ts';
import { messageOf, SlipwayError } from '#errors/errors.ts';
import { StatusSchema } from '../proto/google/rpc/status_pb.ts';

/** Codes of gRPC (grpc/grpc, doc/statuscodes.md). */
export const Code = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** What a call ended with, other than success. */
export class GrpcError extends Error {
  readonly code: number;
  readonly details: readonly Any[];

  constructor(code: number, message: string, options: { details?: readonly Any[]; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'GrpcError';
    this.code = code;
    this.details = options.details ?? [];
  }
}

/** The call had no answer: the connection, or its stream, broke before. What the other side says itself is none of these. */
export class ConnectionLost extends GrpcError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(Code.unavailable, message, options);
  }
}

/**
 * What to end a call with for a thrown value. BuildKit's clients put the code's name before the message unless it is
 * `unknown`; so that is what the kinds get that a client does not act upon.
 */
export function toGrpcError(thrown: unknown): GrpcError {
  const error = orDiskFull(thrown);
  if (error instanceof GrpcError) return error;
  const aborted = error instanceof Error && error.name === 'AbortError';
  if (aborted || (error instanceof SlipwayError && error.kind === 'canceled')) {
    return new GrpcError(Code.cancelled, 'context canceled', { cause: error });
  }
  if (error instanceof SlipwayError) return new GrpcError(Code.unknown, error.message, { cause: error });
  return new GrpcError(Code.internal, messageOf(error), { cause: error });
}

type Trailers = Record<string, string>;

export function statusTrailers(error?: GrpcError): Trailers {
  if (!error) return { 'grpc-status': '0' };
  const { code, message, details } = error;
  const trailers: Trailers = { 'grpc-status': String(code), 'grpc-message': escapeMessage(message) };
  if (details.length > 0) {
    const status = create(StatusSchema, {
      code,
      message,
      details: details.map((any) => create(AnySchema, any)),
    });
    trailers['grpc-status-details-bin'] = Buffer.from(toBinary(StatusSchema, status)).toString('base64');
  }
  return trailers;
}

/** The error that a reply's headers or trailers say; undefined: success. */
export function errorOf(headers: Readonly<Record<string, unknown>>): GrpcError | undefined {
  const code = Number(headers['grpc-status']);
  if (code === Code.ok) return undefined;
  const message = unescapeMessage(String(headers['grpc-message'] ?? ''));
  const details = headers['grpc-status-details-bin'];
  try {
    const binary = typeof details === 'string' ? Buffer.from(details, 'base64') : new Uint8Array();
    return new GrpcError(code, message, { details: fromBinary(StatusSchema, binary).details });
  } catch {
    return new GrpcError(code, message);
  }
}

/** Headers are ASCII: what is not printable, and the percent sign, goes as UTF-8 bytes. Its length has a limit too. */
function escapeMessage(message: string): string {
  let escaped = '';
  for (const byte of Buffer.from(message.slice(0, 16_384))) {
    escaped +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return escaped;
}

function unescapeMessage(text: string): string {
  if (!text.includes('%')) return text;
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_match, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

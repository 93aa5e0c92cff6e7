import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import type { ErrorKind, SlipwayError } from '#errors/errors.ts';

const STATUS: Readonly<Record<ErrorKind, number>> = {
  'not-found': 404,
  conflict: 409,
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  unavailable: 503,
  'too-large': 413,
  'too-many': 429,
  range: 416,
  unsupported: 405,
  'not-modified': 304,
  precondition: 412,
  timeout: 408,
  canceled: 499,
};

/** What problems are sent as. */
export const PROBLEM_TYPE = 'application/problem+json';

/** An error of the API (RFC 9457), of type `application/problem+json`. */
export const problemSchema = z
  .object({
    type: z.literal('about:blank'),
    title: z.string().describe('What the status means.'),
    status: z.int(),
    detail: z.string().describe('What went wrong, for people.'),
    code: z.string().describe('What went wrong, for programs.'),
    errors: z
      .array(z.object({ in: z.string(), path: z.string(), message: z.string() }))
      .optional()
      .describe('Each part of the request that is not as it has to be.'),
    requestId: z.string().optional().describe('Where the log tells more.'),
  })
  .meta({ title: 'Problem' });

export type Problem = z.infer<typeof problemSchema>;

/** How an error is told. */
export function problemOf(error: SlipwayError): Problem {
  const { detail } = error;
  return problem(STATUS[error.kind], {
    detail: error.message,
    code: error.code ?? error.kind,
    ...(detail instanceof InvalidParts && { errors: detail.parts }),
  });
}

/** How a bug is told: what it is stands in the log. */
export function internalProblem(requestId: string | undefined): Problem {
  return problem(500, { detail: 'internal error', code: 'internal', ...(requestId && { requestId }) });
}

function problem(status: number, more: Omit<Problem, 'type' | 'title' | 'status'>): Problem {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, ...more };
}

/** The detail of an `invalid` error: which parts of the request are wrong. */
export class InvalidParts {
  readonly parts: NonNullable<Problem['errors']>;

  constructor(parts: NonNullable<Problem['errors']>) {
    this.parts = parts;
  }
}

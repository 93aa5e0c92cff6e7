import type { z } from 'zod';

/**
 * What an operation below `/api/v1` takes and answers, said once: requests are checked by these schemas, and the OpenAPI
 * document describes them. Paths have parameters as `{name}`; each is one segment, percent-encoded, thus a repository
 * `a/b` is `a%2Fb`.
 */
export interface Endpoint<
  Params extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Reply extends z.ZodType = z.ZodType,
> {
  /** The `operationId`: a verb and what it is done to, such as `listUsers`. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: `/${string}`;
  /** The part of the API that it belongs to, such as `users`. */
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** Objects: one property a parameter. What they do not name is refused. */
  readonly params?: Params;
  readonly query?: Query;
  /** JSON. */
  readonly body?: Body;
  /** 200 unless said otherwise, 204 without a `reply`. */
  readonly status?: 200 | 201 | 202;
  /** What is answered; with `lines`, each of the lines that are. */
  readonly reply?: Reply;
  /** The answer is any number of lines of JSON, sent as they come. */
  readonly lines?: true;
}

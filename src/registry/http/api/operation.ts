import type { z } from 'zod';
import type { Endpoint } from '#api/endpoint.ts';
import type { Access, Action } from '#auth/access.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Actor } from '../../events/event.ts';

/** What a request is about, once it was checked: as the operation's schemas give it. */
export interface Target<Params, Query> {
  readonly params: Params;
  readonly query: Query;
  readonly access: Access;
}

export interface ApiRequest<Params, Query, Body> extends Target<Params, Query> {
  readonly body: Body;
  /** Who a change is put down to. */
  readonly actor: Actor;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/**
 * Who may call an operation. `anyone`: the handler shows what the access may see. `admin`: administrators of the whole
 * registry. Else what the operation is about: a namespace, for those who administer it, or a repository, for those who may
 * do `action` to it. That is in the path or the query: it is asked before the body is read.
 */
export type Caller<Target> =
  | 'anyone'
  | 'admin'
  | { readonly namespace: (target: Target) => string }
  | { readonly action: Action; readonly repository: (target: Target) => RepositoryName };

type Shape<S extends z.ZodType> = z.output<S>;
type Nothing = z.ZodUndefined;

/** One operation of the admin API. */
export interface OperationDefinition<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Reply extends z.ZodType,
> extends Omit<Endpoint<Params, Query, Body, Reply>, 'lines'> {
  readonly caller: Caller<Target<Shape<Params>, Shape<Query>>>;
  handle(
    request: ApiRequest<Shape<Params>, Shape<Query>, Shape<Body>>,
  ): Promise<Reply extends Nothing ? void : z.input<Reply>>;
}

/** An operation as the parts of the frame see it. */
export type Operation = Omit<
  OperationDefinition<z.ZodType, z.ZodType, z.ZodType, z.ZodType>,
  'caller' | 'handle'
> & {
  // biome-ignore-start lint/suspicious/noExplicitAny: what these take is known where they are defined.
  readonly caller: Caller<Target<any, any>>;
  handle(request: ApiRequest<any, any, any>): Promise<unknown>;
  // biome-ignore-end lint/suspicious/noExplicitAny: see above
};

/** Defines an operation; the handler's types follow from the schemas. */
export function operation<
  Params extends z.ZodType = Nothing,
  Query extends z.ZodType = Nothing,
  Body extends z.ZodType = Nothing,
  Reply extends z.ZodType = Nothing,
>(definition: OperationDefinition<Params, Query, Body, Reply>): Operation {
  return definition as unknown as Operation;
}

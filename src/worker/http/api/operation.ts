import type { z } from 'zod';
import type { Endpoint } from '#api/endpoint.ts';

export interface ApiRequest<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

type Shape<S extends z.ZodType> = z.output<S>;
type Nothing = z.ZodUndefined;

/** One operation of a worker's API, for whoever may use the engine. */
interface OperationDefinition<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Reply extends z.ZodType,
> extends Omit<Endpoint<Params, Query, Body, Reply>, 'lines'> {
  handle(
    request: ApiRequest<Shape<Params>, Shape<Query>, Shape<Body>>,
  ): Promise<Reply extends Nothing ? void : z.input<Reply>>;
}

/** One that answers with lines; what is wrong is thrown before there are any. */
interface LinesDefinition<Params extends z.ZodType, Query extends z.ZodType, Line extends z.ZodType>
  extends Omit<Endpoint<Params, Query, Nothing, Line>, 'lines'> {
  handle(request: ApiRequest<Shape<Params>, Shape<Query>, undefined>): Promise<AsyncIterable<z.input<Line>>>;
}

/** An operation as the parts of the frame see it. */
export type Operation = Endpoint & {
  // biome-ignore lint/suspicious/noExplicitAny: what it takes is known where it is defined.
  handle(request: ApiRequest<any, any, any>): Promise<unknown>;
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

export function linesOperation<Params extends z.ZodType, Query extends z.ZodType, Line extends z.ZodType>(
  definition: LinesDefinition<Params, Query, Line>,
): Operation {
  return { ...definition, lines: true } as unknown as Operation;
}

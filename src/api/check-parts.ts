import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import type { Endpoint } from './endpoint.ts';
import { InvalidParts } from './problem.ts';

/** Where in a request something is wrong. */
type Part = 'path' | 'query' | 'body';

/** What is given with a request's address. */
export interface GivenTarget {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** What a request's path and query say, as the endpoint's schemas give it. Throws `invalid`. */
export function checkTarget(given: GivenTarget, { params, query }: Endpoint) {
  return {
    params: checkPart('path', params, given.params),
    query: checkPart('query', query, valuesOf(given.query, query)),
  };
}

/** A part of a request, as its schema gives it. Throws `invalid`. */
export function checkPart(part: Part, schema: z.ZodType | undefined, value: unknown): unknown {
  const strict = schema instanceof z.ZodObject && part !== 'path' ? schema.strict() : schema;
  const parsed = (strict ?? z.strictObject({})).safeParse(value);
  if (parsed.success) return schema && parsed.data;
  const parts = parsed.error.issues.map((issue) => ({
    in: part,
    path: issue.path.join('.'),
    message: issue.message,
  }));
  const [first] = parts;
  const where = first?.path ? `${first.path}: ` : '';
  throw invalid(`${part}: ${where}${first?.message}`, { code: 'invalid', detail: new InvalidParts(parts) });
}

/** One value a parameter; a list where the schema has one. */
function valuesOf(query: GivenTarget['query'], schema: z.ZodType | undefined): Record<string, unknown> {
  const shape = schema instanceof z.ZodObject ? schema.shape : {};
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => {
      const many = Object.hasOwn(shape, name) && isList(shape[name] as z.ZodType);
      return [name, many && value !== undefined ? [value].flat() : value];
    }),
  );
}

function isList(schema: z.ZodType): boolean {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return isList(schema.unwrap() as z.ZodType);
  }
  return schema instanceof z.ZodArray;
}

import type { Context } from 'koa';
import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import { readBody } from '../request-body.ts';
import type { Operation } from './operation.ts';
import { InvalidParts } from './problem.ts';

/** The largest body that an operation takes, in bytes. */
const MAX_BODY = 1024 * 1024;

/** Where in a request something is wrong. */
type Part = 'path' | 'query' | 'body';

/** What the request's path and query say, as the operation's schemas give it. Throws `invalid`. */
export function checkTarget(ctx: Context, { params, query }: Operation) {
  return {
    params: check('path', params, (ctx as Context & { params: Record<string, string> }).params),
    query: check('query', query, queryOf(ctx, query)),
  };
}

/** The request's body, as the operation's schema gives it. Throws `invalid` or `too-large`. */
export async function checkBody(ctx: Context, { body }: Operation): Promise<unknown> {
  return body && check('body', body, await readJson(ctx));
}

function check(part: Part, schema: z.ZodType | undefined, value: unknown): unknown {
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
function queryOf(ctx: Context, schema: z.ZodType | undefined): Record<string, unknown> {
  const shape = schema instanceof z.ZodObject ? schema.shape : {};
  return Object.fromEntries(
    Object.entries(ctx.query).map(([name, value]) => {
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

/**
 * The body has to say that it is JSON: a web page cannot send that to another origin unless that origin agrees, so no
 * page makes a browser administer a registry on its own machine.
 */
async function readJson(ctx: Context): Promise<unknown> {
  const bytes = await readBody(ctx, MAX_BODY);
  if (bytes.length === 0) return undefined;
  if (!ctx.is('application/json', 'application/*+json')) {
    throw invalid('the body has to be of type application/json', { code: 'invalid' });
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid('the body is not JSON', { code: 'invalid', cause });
  }
}

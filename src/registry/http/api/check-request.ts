import type { Context } from 'koa';
import { checkTarget as checkGiven, checkPart } from '#api/check-parts.ts';
import { invalid } from '#errors/errors.ts';
import { readBody } from '../request-body.ts';
import type { Operation } from './operation.ts';

/** The largest body that an operation takes, in bytes. */
const MAX_BODY = 1024 * 1024;

/** What the request's path and query say, as the operation's schemas give it. Throws `invalid`. */
export function checkTarget(ctx: Context, operation: Operation) {
  const { params } = ctx as Context & { params: Record<string, string> };
  return checkGiven({ params, query: ctx.query }, operation);
}

/** The request's body, as the operation's schema gives it. Throws `invalid` or `too-large`. */
export async function checkBody(ctx: Context, { body }: Operation): Promise<unknown> {
  return body && checkPart('body', body, await readJson(ctx));
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

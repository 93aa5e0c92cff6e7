import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { dropRest } from '#async/drop-rest.ts';
import { invalid, tooLarge } from '#errors/errors.ts';
import { isUpgrade, upgradeBody } from './hijack.ts';
import type { EngineContext } from './router.ts';

const MAX_JSON_BYTES = 8 * 1024 * 1024;
/** What is read, and for how long, of a body that nobody wants: an archive's client may well be sending gigabytes. */
const DRAIN = { bytes: 64 * 1024 * 1024, ms: 30_000 };

const given = new WeakMap<IncomingMessage, { readonly value: unknown }>();

/** What `readJson` reads from now on in the place of the body, which was read. */
export function givenJson(ctx: EngineContext, value: unknown): void {
  given.set(ctx.req, { value });
}

/** The JSON that was given in the place of the body, for whoever passes the request on; undefined when none was. */
export function bodyGiven(req: IncomingMessage): Buffer | undefined {
  const found = given.get(req);
  return found && Buffer.from(JSON.stringify(found.value));
}

/** The request's body as it comes. Whoever stops before its end leaves the connection to the answer. */
export function requestBody(ctx: EngineContext): AsyncIterable<Uint8Array> {
  return ctx.req.iterator({ destroyOnReturn: false });
}

/**
 * Reads and drops what was not read of a body when the answer is clear, within limits. Closing at once would take the
 * answer away from a client that is still sending: the CLI then prints "broken pipe" for "No such container".
 */
export function letGoOfBody(req: IncomingMessage): void {
  if (isUpgrade(req) || req.readableEnded || req.destroyed) return;
  dropRest(req, DRAIN);
}

/**
 * The request's JSON body, checked against `schema` when one is given; `undefined` for an empty body. Throws
 * `invalid` or `too-large`.
 */
export async function readJson<T>(ctx: EngineContext, schema: z.ZodType<T>): Promise<T>;
export async function readJson(ctx: EngineContext): Promise<unknown>;
export async function readJson<T>(ctx: EngineContext, schema?: z.ZodType<T>): Promise<unknown> {
  const before = given.get(ctx.req);
  const value = before ? before.value : await parsedBody(ctx);
  if (!schema) return value;
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`invalid request body: ${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'invalid'}`);
}

/** The request's body as it was sent. Throws `too-large`. */
export function readBytes(ctx: EngineContext): Promise<Buffer> {
  return readBody(requestBody(ctx));
}

async function parsedBody(ctx: EngineContext): Promise<unknown> {
  const bytes = await readBody(upgradeBody(ctx) ?? requestBody(ctx));
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw invalid(`invalid JSON: ${(cause as Error).message}`, { cause });
  }
}

async function readBody(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > MAX_JSON_BYTES) throw tooLarge(`request body is larger than ${MAX_JSON_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

import type { Readable } from 'node:stream';
import type { z } from 'zod';
import { invalid, tooLarge } from '#errors/errors.ts';
import { upgradeBody } from './hijack.ts';
import type { EngineContext } from './router.ts';

const MAX_JSON_BYTES = 8 * 1024 * 1024;

/**
 * The request's JSON body, checked against `schema` when one is given; `undefined` for an empty body. Throws
 * `invalid` or `too-large`.
 */
export async function readJson<T>(ctx: EngineContext, schema: z.ZodType<T>): Promise<T>;
export async function readJson(ctx: EngineContext): Promise<unknown>;
export async function readJson<T>(ctx: EngineContext, schema?: z.ZodType<T>): Promise<unknown> {
  const bytes = await readBody(upgradeBody(ctx) ?? ctx.req);
  let value: unknown;
  if (bytes.length > 0) {
    try {
      value = JSON.parse(bytes.toString('utf8'));
    } catch (cause) {
      throw invalid(`invalid JSON: ${(cause as Error).message}`, { cause });
    }
  }
  if (!schema) return value;
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`invalid request body: ${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'invalid'}`);
}

async function readBody(source: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_JSON_BYTES) throw tooLarge(`request body is larger than ${MAX_JSON_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

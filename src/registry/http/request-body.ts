import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { canceled, SlipwayError, tooLarge } from '#errors/errors.ts';

/** How much of a body that nobody wants is read so that its sender can take in the answer. */
const DRAIN_BYTES = 64 * 1024 * 1024;
const DRAIN_MS = 30_000;

/** Requests whose sender waits for a `100 Continue`. */
const awaitingContinue = new WeakSet<IncomingMessage>();

/** To be called for requests that a server's `checkContinue` brings: the body is asked for when it is wanted. */
export function expectContinue(request: IncomingMessage): void {
  awaitingContinue.add(request);
}

/** The request's body. Leaving it early keeps the connection, so that an answer can still be sent. */
export async function* requestBody(ctx: Context): AsyncGenerator<Uint8Array> {
  if (awaitingContinue.delete(ctx.req)) ctx.res.writeContinue();
  try {
    yield* ctx.req.iterator({ destroyOnReturn: false });
  } catch (cause) {
    throw new SlipwayError('canceled', 'the client went away', { cause });
  }
  if (!ctx.req.complete) throw canceled('the client went away');
}

/** The whole body. Throws `too-large` for more than `limit` bytes. */
export async function readBody(ctx: Context, limit: number): Promise<Uint8Array> {
  if ((ctx.request.length ?? 0) > limit) throw exceeds(limit);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of requestBody(ctx)) {
    size += chunk.length;
    if (size > limit) throw exceeds(limit);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

/**
 * Deals with what was not read of a body when the answer is clear. Closing at once would reset the connection,
 * and take the answer away from a client that is still sending; so a bounded rest is read and dropped.
 */
export function letGoOfBody(ctx: Context): void {
  const { req, res } = ctx;
  if (req.complete || req.destroyed) return;
  if (awaitingContinue.delete(req)) {
    // The sender was not told to go on, and may or may not send the body: the connection cannot be used again.
    if (res.headersSent) res.once('finish', () => req.destroy());
    else res.setHeader('Connection', 'close');
    return;
  }
  let left = DRAIN_BYTES;
  const giveUp = setTimeout(() => req.destroy(), DRAIN_MS);
  giveUp.unref();
  req.on('data', (chunk: Uint8Array) => {
    left -= chunk.length;
    if (left < 0) req.destroy();
  });
  req.once('close', () => clearTimeout(giveUp));
  req.on('error', () => {});
}

function exceeds(limit: number) {
  return tooLarge(`body exceeds ${limit} bytes`, { code: 'SIZE_INVALID', detail: { limit } });
}

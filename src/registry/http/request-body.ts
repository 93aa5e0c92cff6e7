import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { dropRest } from '#async/drop-rest.ts';
import { giveBack } from '#async/give-back.ts';
import { ByteQueue } from '#content/byte-queue.ts';
import { timedOut, tooLarge } from '#errors/errors.ts';
import type { BodyMemory } from './body-memory.ts';
import { IncomingChunks } from './incoming-chunks.ts';

/** How much of a body that nobody wants is read so that its sender can take in the answer. */
const DRAIN = { bytes: 64 * 1024 * 1024, ms: 30_000 };

/** Requests whose sender waits for a `100 Continue`. */
const awaitingContinue = new WeakSet<IncomingMessage>();

/** To be called for requests that a server's `checkContinue` brings: the body is asked for when it is wanted. */
export function expectContinue(request: IncomingMessage): void {
  awaitingContinue.add(request);
}

/**
 * The request's body. A chunk is the caller's until the next one is asked for: its memory is given back then. Leaving the
 * body early keeps the connection, so that an answer can still be sent. Throws `canceled`.
 */
export async function* requestBody(ctx: Context): AsyncGenerator<Uint8Array> {
  const chunks = incoming(ctx);
  try {
    for (let chunk = await chunks.next(); chunk; chunk = await chunks.next()) {
      yield chunk;
      giveBack(chunk);
    }
  } finally {
    chunks.leave();
  }
}

function incoming(ctx: Context): IncomingChunks {
  if (awaitingContinue.delete(ctx.req)) ctx.res.writeContinue();
  return new IncomingChunks(ctx.req);
}

export interface WholeBodyOptions {
  /** What it may share with other bodies. */
  readonly memory?: BodyMemory;
  /** Milliseconds within which it has to be there. */
  readonly timeout?: number;
}

/** A whole body that comes slower than this is not waited for: so many bytes a millisecond, and this much more time. */
const LEAST_RATE = 64;
const PATIENCE = 30_000;

/**
 * The whole body. Throws `too-large` for more than `limit` bytes, `timeout` when it takes its time, `too-many` when there
 * is no memory left for it.
 */
export async function readBody(
  ctx: Context,
  limit: number,
  options: WholeBodyOptions = {},
): Promise<Uint8Array> {
  const { memory, timeout = PATIENCE + limit / LEAST_RATE } = options;
  if ((ctx.request.length ?? 0) > limit) throw exceeds(limit);
  const bytes = new ByteQueue();
  let held = 0;
  const body = incoming(ctx);
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(tooSlow(ctx)), timeout);
  try {
    for (;;) {
      const chunk = await Promise.race([body.next(), late.promise]);
      if (!chunk) return Buffer.concat(bytes.take(bytes.size));
      if (bytes.size + chunk.length > limit) throw exceeds(limit);
      memory?.take(chunk.length);
      held += chunk.length;
      bytes.add(chunk);
    }
  } finally {
    body.leave();
    memory?.giveBack(held);
    clearTimeout(timer);
  }
}

/** What else such a sender has to say is not waited for either. */
function tooSlow(ctx: Context) {
  ctx.set('Connection', 'close');
  ctx.res.once('finish', () => ctx.req.destroy());
  return timedOut('the body took too long to come');
}

/**
 * Deals with what was not read of a body when the answer is clear. Closing at once would reset the connection,
 * and take the answer away from a client that is still sending; so a bounded rest is read and dropped.
 */
export function letGoOfBody(ctx: Context): void {
  const { req, res } = ctx;
  if (req.readableEnded || req.destroyed) return;
  if (req.complete) {
    req.resume();
    return;
  }
  if (awaitingContinue.delete(req)) {
    // The sender was not told to go on, and may or may not send the body: the connection cannot be used again.
    if (res.headersSent) res.once('finish', () => req.destroy());
    else res.setHeader('Connection', 'close');
    return;
  }
  dropRest(req, DRAIN);
}

function exceeds(limit: number) {
  return tooLarge(`body exceeds ${limit} bytes`, { code: 'SIZE_INVALID', detail: { limit } });
}

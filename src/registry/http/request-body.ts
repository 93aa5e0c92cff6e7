import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { ByteQueue } from '#content/byte-queue.ts';
import { canceled, SlipwayError, timedOut, tooLarge } from '#errors/errors.ts';
import type { BodyMemory } from './body-memory.ts';

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
  const body = requestBody(ctx);
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(tooSlow(ctx)), timeout);
  try {
    for (;;) {
      const next = await Promise.race([body.next(), late.promise]);
      if (next.done) return Buffer.concat(bytes.take(bytes.size));
      if (bytes.size + next.value.length > limit) throw exceeds(limit);
      memory?.take(next.value.length);
      held += next.value.length;
      bytes.add(next.value);
    }
  } catch (error) {
    void body.return(undefined).catch(() => {});
    throw error;
  } finally {
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

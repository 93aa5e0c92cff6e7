import type { Duplex } from 'node:stream';
import { isKind } from '#errors/errors.ts';
import { bodyGiven } from '#worker/http/body.ts';
import { isUpgrade, upgradeConnection } from '#worker/http/hijack.ts';
import type { EngineContext } from '#worker/http/router.ts';
import type { Changes, Forwarder } from '../../gateway/forward.ts';
import type { Upstream } from '../../gateway/worker-agents.ts';
import type { Answer } from '../../gateway/worker-client.ts';

/** Has a worker answer a request, as it is. Throws `unavailable` when it does not, and nothing was answered. */
export async function pass(
  ctx: EngineContext,
  { forwarder }: { forwarder: Forwarder },
  to: Upstream,
  changes: Changes = {},
): Promise<void> {
  // What a policy has read is not there to be read again.
  const asked = { target: ctx.originalUrl, body: bodyGiven(ctx.req), ...changes };
  if (isUpgrade(ctx.req)) {
    const { socket, head } = upgradeConnection(ctx)!;
    await forwarder.upgrade(ctx.req, socket, head, to, asked).catch((error) => refuse(socket, error));
    return;
  }
  await forwarder.forward(ctx.req, ctx.res, to, asked);
  ctx.respond = false;
}

/** Answers as a worker did. */
export function reply(ctx: EngineContext, { status, body }: Answer): void {
  ctx.status = status;
  if (body === undefined) {
    // Koa takes no body for 204.
    ctx.body = status === 204 ? null : '';
  } else if (body !== null) {
    ctx.body = body;
  } else {
    ctx.status = status;
    ctx.type = 'application/json';
    ctx.body = 'null';
  }
}

/** `/v1.45/path?query` for what a gateway asks in the client's version of the API. */
export function versioned(ctx: EngineContext, path: string, query: URLSearchParams | string = ''): string {
  const text = query.toString();
  return `/v${ctx.state.apiVersion}${path}${text === '' ? '' : `?${text}`}`;
}

/** The query as the client sent it, to be changed. */
export function queryOf(ctx: EngineContext): URLSearchParams {
  return new URLSearchParams(ctx.querystring);
}

function refuse(socket: Duplex, error: unknown): void {
  if (!isKind(error, 'unavailable')) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({ message: error.message });
  const head = 'HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close';
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

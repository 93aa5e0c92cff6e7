import type { Context, Middleware } from 'koa';
import type { Access } from '#auth/access.ts';
import { isKind, type SlipwayError } from '#errors/errors.ts';
import type { DenialLog } from '../events/denial-log.ts';
import type { EventAction } from '../events/event.ts';
import { requestIdOf } from './request-id.ts';

/**
 * Writes down who was refused what. A request without credentials is only told how to get some: it is how every login
 * begins.
 */
export function deniedRequests(log: DenialLog): Middleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      const refused = isKind(error, 'forbidden') || isKind(error, 'unauthorized');
      if (refused && ctx.get('Authorization') !== '') record(ctx, error, log);
      throw error;
    }
  };
}

function record(ctx: Context, error: SlipwayError, log: DenialLog): void {
  const { access } = ctx.state as { access?: Access };
  const actor = {
    principal: access?.principal ?? 'anonymous',
    address: ctx.ip,
    userAgent: ctx.get('User-Agent').slice(0, 200) || undefined,
    requestId: requestIdOf(ctx),
  };
  const reason = error.message.slice(0, 300);
  const repository = /^\/v2\/(.{1,255}?)\/(?:manifests|blobs|tags|referrers)\//.exec(ctx.path)?.[1];
  // Without access, the credentials themselves were refused.
  const action: EventAction = !access
    ? 'login.token'
    : repository === undefined
      ? 'api.call'
      : (REPOSITORY_ACTIONS[ctx.method] ?? 'repository.push');
  const what = repository === undefined ? { method: ctx.method, path: ctx.path.slice(0, 300) } : {};
  log.record(actor, { action, repository, detail: { reason, ...what } });
}

const REPOSITORY_ACTIONS: Readonly<Record<string, EventAction>> = {
  GET: 'repository.pull',
  HEAD: 'repository.pull',
  DELETE: 'repository.delete',
};

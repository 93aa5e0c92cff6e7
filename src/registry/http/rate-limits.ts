import type { Context, Middleware, Next } from 'koa';
import { tooMany } from '#errors/errors.ts';
import type { Counter } from '#observability/metrics.ts';
import type { LimitName, RequestLimits, Verdict } from '../limits/request-limits.ts';
import { accessOf } from './request-state.ts';
import { routeName } from './route-name.ts';

export interface RateLimitsOptions {
  readonly limits: RequestLimits;
  /** Counts the requests that were turned away. */
  readonly refused: Counter<'limit'>;
}

/** Before anyone is authenticated: how many requests an address may send. Throws `too-many`. */
export function addressLimit({ limits, refused }: RateLimitsOptions): Middleware {
  return (ctx, next) => {
    obey(ctx, limits.byAddress(ctx.ip), refused);
    return next();
  };
}

/** Once it is known who asks: how many requests they may send, and how many manifests fetch. Throws `too-many`. */
export function principalLimits({ limits, refused }: RateLimitsOptions): Middleware {
  return (ctx: Context, next: Next) => {
    const { principal } = accessOf(ctx);
    obey(ctx, limits.byPrincipal(principal, ctx.ip), refused);
    if (ctx.method === 'GET' && routeName(ctx.path) === 'manifest') {
      const pull = limits.pull(principal, ctx.ip);
      if (pull) announce(ctx, pull);
      obey(ctx, pull, refused);
    }
    return next();
  };
}

function obey(ctx: Context, verdict: Verdict | undefined, refused: Counter<'limit'>): void {
  if (!verdict || verdict.allowed) return;
  refused.add({ limit: verdict.limit });
  announce(ctx, verdict);
  const retryAfter = Math.ceil(verdict.wait / 1000);
  throw tooMany(`too many ${WHAT[verdict.limit]}`, { detail: { retryAfter } });
}

const WHAT: Readonly<Record<LimitName, string>> = {
  address: 'requests from this address',
  principal: 'requests',
  pulls: 'pulls',
};

/** In the headers that Docker Hub has, which clients and tools know: `100;w=21600`, seconds. */
function announce(ctx: Context, { rate, remaining }: Verdict): void {
  const window = `;w=${Math.ceil(rate.period / 1000)}`;
  ctx.set('RateLimit-Limit', `${rate.count}${window}`);
  ctx.set('RateLimit-Remaining', `${remaining}${window}`);
}

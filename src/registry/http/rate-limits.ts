import type { IncomingMessage, ServerResponse } from 'node:http';
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

/** The limits of requests: each request counts once, however often one asks about it. */
export class CountedRequests {
  readonly #limits: RequestLimits;
  readonly #refused: Counter<'limit'>;
  readonly #verdicts = new WeakMap<IncomingMessage, Map<LimitName, Verdict>>();

  constructor({ limits, refused }: RateLimitsOptions) {
    this.#limits = limits;
    this.#refused = refused;
  }

  byAddress(request: IncomingMessage, ip: string): Verdict | undefined {
    return this.#once(request, 'address', () => this.#limits.byAddress(ip));
  }

  byPrincipal(request: IncomingMessage, principal: string, ip: string): Verdict | undefined {
    return this.#once(request, 'principal', () => this.#limits.byPrincipal(principal, ip));
  }

  pull(request: IncomingMessage, principal: string, ip: string): Verdict | undefined {
    return this.#once(request, 'pulls', () => this.#limits.pull(principal, ip));
  }

  /** Throws `too-many` for a verdict that says so. */
  obey(ctx: Context, verdict: Verdict | undefined): void {
    if (!verdict || verdict.allowed) return;
    this.#refused.add({ limit: verdict.limit });
    announce(ctx.res, verdict);
    const retryAfter = Math.ceil(verdict.wait / 1000);
    throw tooMany(`too many ${WHAT[verdict.limit]}`, { detail: { retryAfter } });
  }

  #once(request: IncomingMessage, limit: LimitName, take: () => Verdict | undefined): Verdict | undefined {
    const known = this.#verdicts.get(request);
    const before = known?.get(limit);
    if (before) return before;
    const verdict = take();
    if (!verdict) return undefined;
    if (known) known.set(limit, verdict);
    else this.#verdicts.set(request, new Map([[limit, verdict]]));
    return verdict;
  }
}

/** Before anyone is authenticated: how many requests an address may send. Throws `too-many`. */
export function addressLimit(counted: CountedRequests): Middleware {
  return (ctx, next) => {
    counted.obey(ctx, counted.byAddress(ctx.req, ctx.ip));
    return next();
  };
}

/** Once it is known who asks: how many requests they may send, and how many manifests fetch. Throws `too-many`. */
export function principalLimits(counted: CountedRequests): Middleware {
  return (ctx: Context, next: Next) => {
    const { principal } = accessOf(ctx);
    counted.obey(ctx, counted.byPrincipal(ctx.req, principal, ctx.ip));
    if (ctx.method === 'GET' && routeName(ctx.path) === 'manifest') {
      const pull = counted.pull(ctx.req, principal, ctx.ip);
      if (pull) announce(ctx.res, pull);
      counted.obey(ctx, pull);
    }
    return next();
  };
}

const WHAT: Readonly<Record<LimitName, string>> = {
  address: 'requests from this address',
  principal: 'requests',
  pulls: 'pulls',
};

/** In the headers that Docker Hub has, which clients and tools know: `100;w=21600`, seconds. */
export function announce(response: ServerResponse, { rate, remaining }: Verdict): void {
  const window = `;w=${Math.ceil(rate.period / 1000)}`;
  response.setHeader('RateLimit-Limit', `${rate.count}${window}`);
  response.setHeader('RateLimit-Remaining', `${remaining}${window}`);
}

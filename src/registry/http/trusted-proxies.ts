import { isIP } from 'node:net';
import type { Middleware } from 'koa';
import { forbidden } from '#errors/errors.ts';
import { Networks } from '../limits/networks.ts';

/** The proxies in front of the registry, whose word on where a request came from is believed. */
export class TrustedProxies {
  readonly #networks: Networks;

  /** `networks` in CIDR notation. */
  constructor(networks: readonly string[]) {
    this.#networks = new Networks(networks);
  }

  includes(address: string): boolean {
    return this.#networks.include(address);
  }

  /**
   * Where a request came from: the last address that `forwardedFor` names and that is no proxy of ours. What stands
   * before that, anyone can have written.
   */
  clientOf(peer: string, forwardedFor: string): string {
    const hops = forwardedFor.split(',').map((hop) => plainAddress(hop.trim()));
    let client = peer;
    while (this.includes(client)) {
      const before = hops.pop();
      if (before === undefined || isIP(before) === 0) break;
      client = before;
    }
    return client;
  }
}

/**
 * Makes `ctx.ip`, `ctx.protocol` and `ctx.host` those of the client, also behind proxies that are trusted. Throws
 * `forbidden` for what a proxy took in plain HTTP.
 */
export function clientAddress(proxies: TrustedProxies): Middleware {
  return (ctx, next) => {
    const peer = plainAddress(ctx.req.socket.remoteAddress ?? '');
    if (!proxies.includes(peer)) {
      ctx.request.ip = peer;
      return next();
    }
    ctx.request.ip = proxies.clientOf(peer, ctx.get('X-Forwarded-For'));
    const protocol = last(ctx.get('X-Forwarded-Proto')).toLowerCase();
    if (protocol === 'http') throw forbidden('this registry is served over HTTPS', { code: 'DENIED' });
    if (protocol === 'https') Object.defineProperty(ctx.request, 'protocol', { value: protocol });
    const host = last(ctx.get('X-Forwarded-Host'));
    if (/^[\w.:[\]-]+$/.test(host)) Object.defineProperty(ctx.request, 'host', { value: host });
    return next();
  };
}

/** The proxy next to us appends: its word is the last. */
function last(header: string): string {
  return header.split(',').at(-1)!.trim();
}

/** IPv4 as such, also where a socket for both takes it as IPv6. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

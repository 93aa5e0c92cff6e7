import type { IncomingMessage } from 'node:http';
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

/** What a request says of its way here, as far as it is believed. */
export interface Way {
  /** The client's address. */
  readonly ip: string;
  /** As the client wrote it, if a proxy says so. */
  readonly protocol?: string | undefined;
  readonly host?: string | undefined;
}

/** Where a request came from, also behind proxies that are trusted. Throws `forbidden` for what one took in plain HTTP. */
export function wayOf(request: IncomingMessage, proxies: TrustedProxies): Way {
  const peer = plainAddress(request.socket.remoteAddress ?? '');
  if (!proxies.includes(peer)) return { ip: peer };
  const said = (name: string) => String(request.headers[name] ?? '');
  const protocol = last(said('x-forwarded-proto')).toLowerCase();
  if (protocol === 'http') throw forbidden('this registry is served over HTTPS', { code: 'DENIED' });
  const host = last(said('x-forwarded-host'));
  return {
    ip: proxies.clientOf(peer, said('x-forwarded-for')),
    protocol: protocol === 'https' ? protocol : undefined,
    host: /^[\w.:[\]-]+$/.test(host) ? host : undefined,
  };
}

/** Makes `ctx.ip`, `ctx.protocol` and `ctx.host` those of the client. Throws as `wayOf`. */
export function clientAddress(proxies: TrustedProxies): Middleware {
  return (ctx, next) => {
    const { ip, protocol, host } = wayOf(ctx.req, proxies);
    ctx.request.ip = ip;
    if (protocol !== undefined) Object.defineProperty(ctx.request, 'protocol', { value: protocol });
    if (host !== undefined) Object.defineProperty(ctx.request, 'host', { value: host });
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

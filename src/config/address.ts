import { isIP } from 'node:net';
import { z } from 'zod';

/** Where a role listens: a host and port, or a unix socket. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Reads `host:port`, `[v6]:port`, `tcp://host:port` and `unix:///path`; undefined when it is none of them.
 * The host is kept without its brackets.
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length);
    // Linux: sun_path holds 108 bytes with its closing zero.
    return path.startsWith('/') && Buffer.byteLength(path) < 108 ? { path } : undefined;
  }
  const match = /^(?:tcp:\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([^[\]:/\s]+)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const host = match[1] ?? match[2]!;
  const port = Number(match[3]);
  if (port > 65_535 || (match[1] !== undefined && isIP(host) !== 6)) return undefined;
  return { host, port };
}

/** Whether only this machine can reach the host. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || host.toLowerCase() === 'localhost';
}

const refusal = 'listening beyond loopback is refused, as there is no authentication and TLS yet';

/** A `host:port`. */
export const hostPort = z.string().superRefine((text, context) => {
  const address = text.includes('://') ? undefined : parseListenAddress(text);
  if (!address || 'path' in address) context.addIssue(`expected host:port, got '${text}'`);
});

/** `unix:///path`, or `tcp://host:port` on loopback. */
export const loopbackOrUnix = z.string().superRefine((text, context) => {
  const address = text.includes('://') ? parseListenAddress(text) : undefined;
  if (!address) context.addIssue(`expected unix:///path or tcp://host:port, got '${text}'`);
  else if ('host' in address && !isLoopback(address.host)) context.addIssue(`'${text}': ${refusal}`);
});

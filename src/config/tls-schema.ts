import { z } from 'zod';
import { isLoopback, parseListenAddress } from './address.ts';

const file = z.string().startsWith('/', 'expected an absolute path').nullable();

/** The settings below `registry.tls`: PEM files. */
export const tlsSchema = z
  .strictObject({ certificate: file, key: file, clientCa: file })
  .superRefine(({ certificate, key, clientCa }, context) => {
    if (certificate !== null && key === null)
      context.addIssue({ code: 'custom', path: ['key'], message: 'a certificate needs its key' });
    if (certificate === null && key !== null)
      context.addIssue({ code: 'custom', path: ['certificate'], message: 'a key needs its certificate' });
    if (certificate === null && clientCa !== null)
      context.addIssue({
        code: 'custom',
        path: ['certificate'],
        message: 'a CA for clients needs a certificate of the registry',
      });
  });

const network = z
  .union([z.cidrv4(), z.cidrv6()], { error: 'expected a network such as 10.0.0.0/24' })
  .refine((text) => Number(text.split('/')[1]) >= 8, {
    error: 'a network this large is not one of proxies: expected a prefix of at least 8 bits',
  });

/** `registry.trustedProxies` */
export const trustedProxiesSchema = z.array(network);

/**
 * Why a registry may not listen there, if it may not: beyond loopback it needs TLS, its own or that of proxies which
 * alone may connect, and authentication.
 */
export function listenRefusal(registry: {
  readonly listen: string;
  readonly tls: { readonly certificate: string | null };
  readonly trustedProxies: readonly string[];
  readonly auth?: { readonly mode: string };
}): string | undefined {
  const address = parseListenAddress(registry.listen);
  if (!address || 'path' in address || isLoopback(address.host)) return undefined;
  const encrypted = registry.tls.certificate !== null || registry.trustedProxies.length > 0;
  const missing = [
    ...(encrypted ? [] : ['TLS (set registry.tls, or registry.trustedProxies behind a proxy that does it)']),
    ...(registry.auth && registry.auth.mode !== 'none' ? [] : ['authentication (registry.auth.mode: token)']),
  ];
  if (missing.length === 0) return undefined;
  return `'${registry.listen}': listening beyond loopback is refused without ${missing.join(' and ')}`;
}

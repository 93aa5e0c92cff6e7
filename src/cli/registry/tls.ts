import { isLoopback, parseListenAddress } from '#config/address.ts';
import type { Config } from '#config/schema.ts';
import type { Metrics } from '#observability/metrics.ts';
import { CertificateFiles } from '#registry/http/certificate-files.ts';
import type { TrustedProxies } from '#registry/http/trusted-proxies.ts';
import type { RoleContext } from '../process/role.ts';

/** The registry's certificate, if it has one: read again when its files change and when the role is asked to. */
export function openCertificates(
  config: Config,
  role: RoleContext,
  metrics: Metrics,
): CertificateFiles | undefined {
  const { certificate, key, clientCa } = config.registry.tls;
  if (certificate === null || key === null) return undefined;
  const files = new CertificateFiles({ certificate, key, clientCa }, role.logger);
  role.onReload(() => files.reload());
  metrics.gauge({
    name: 'slipway_tls_certificate_expiry_seconds',
    help: 'When the certificate that is shown expires, in seconds since 1970.',
    read: () => files.expiresAt / 1000,
  });
  return files;
}

/** Who may connect: everyone, unless others than this machine could and only proxies do TLS. */
export function admittedPeers(
  { registry }: Config,
  proxies: TrustedProxies,
): ((address: string) => boolean) | undefined {
  const address = parseListenAddress(registry.listen);
  const near = address === undefined || 'path' in address || isLoopback(address.host);
  if (near || registry.tls.certificate !== null) return undefined;
  return (peer) => isLoopback(peer) || proxies.includes(peer);
}

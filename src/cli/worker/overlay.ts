import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { GatewayOverlayLink } from '#pool/member/gateway-overlay-link.ts';
import type { NetworkServiceDependencies } from '#worker/networks/network-service.ts';
import { HostUnderlay } from '#worker/networks/overlay/host-underlay.ts';
import { WireguardTunnel } from '#worker/networks/overlay/wireguard-tunnel.ts';

/** What a worker of a pool has beside its own networks. `link` asks the gateway once it was told how. */
export function workerOverlay(
  config: Config,
  log: Logger,
): { link: GatewayOverlayLink; overlay: NonNullable<NetworkServiceDependencies['overlay']> } | undefined {
  const { pool, overlay } = config.worker;
  if (pool.join === null) return undefined;
  const link = new GatewayOverlayLink();
  const folder = join(config.dataDir, 'worker', 'pool');
  return {
    link,
    overlay: {
      link,
      worker: workerName(config),
      warn: (message) => log.warn(message),
      underlay: (driver) =>
        new HostUnderlay(
          {
            driver,
            tunnel: new WireguardTunnel(
              { driver },
              { keyFile: join(folder, 'wireguard.pem'), port: overlay.wireguardPort },
            ),
          },
          {
            address: async () => overlay.address ?? (await addressTowards(pool.join!)),
            port: overlay.port,
          },
        ),
    },
  };
}

/** In the pool. */
export function workerName({ worker }: Config): string {
  return worker.pool.name ?? hostname().toLowerCase();
}

/** This machine's own, with which it speaks to a gateway; undefined when that is not IPv4. */
async function addressTowards(gateway: string): Promise<string | undefined> {
  if (gateway.startsWith('unix://')) return undefined;
  const { hostname: host } = new URL(gateway);
  const socket = createSocket('udp4');
  try {
    // Nothing is sent: the kernel only looks up the way.
    socket.connect(9, host);
    await once(socket, 'connect');
    const { address } = socket.address();
    return isIPv4(address) ? address : undefined;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

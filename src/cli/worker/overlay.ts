import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { GatewayOverlayLink } from '#pool/member/gateway-overlay-link.ts';
import { LinuxNetworkDriver } from '#worker/networks/linux/linux-network-driver.ts';
import type { NetworkServiceDependencies } from '#worker/networks/network-service.ts';
import { encryptedPort, HostUnderlay } from '#worker/networks/overlay/host-underlay.ts';
import { SharedUnderlay } from '#worker/networks/overlay/shared-underlay.ts';
import { WireguardTunnel } from '#worker/networks/overlay/wireguard-tunnel.ts';

type PoolOverlay = NonNullable<NetworkServiceDependencies['overlay']>;

/** What the engines of a worker of a pool have beside their own networks. */
export class WorkerOverlays {
  readonly #config: Config;
  readonly #underlay: SharedUnderlay;

  /** Undefined for a worker of nobody's pool. */
  static of(config: Config): WorkerOverlays | undefined {
    return config.worker.pool.join === null ? undefined : new WorkerOverlays(config, config.worker.pool.join);
  }

  private constructor(config: Config, gateway: string) {
    this.#config = config;
    const { overlay } = config.worker;
    const driver = new LinuxNetworkDriver();
    const keyFile = join(config.dataDir, 'worker', 'pool', 'wireguard.pem');
    const tunnel = new WireguardTunnel({ driver }, { keyFile, port: overlay.wireguardPort });
    const address = async () => overlay.address ?? (await addressTowards(gateway));
    this.#underlay = new SharedUnderlay(
      new HostUnderlay({ driver, tunnel }, { address, port: overlay.port }),
    );
  }

  /** For the engine of a tenant, or the operator (''), whose link asks the gateway, once it was told how. */
  part(link: GatewayOverlayLink, log: Logger, tenant = ''): PoolOverlay {
    const underlay = this.#underlay.part(tenant);
    return { link, worker: workerName(this.#config), warn: (message) => log.warn(message), underlay };
  }
}

/** UDP that a worker of a pool has for itself, from the first overlay network on. */
export function overlayPorts({ worker }: Config): number[] {
  const { port, wireguardPort } = worker.overlay;
  return [port, encryptedPort(port), wireguardPort];
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

/** A network that containers can be on. */
export interface Network {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  /** `overlay`: of the pool, with a bridge on every worker that has a container on it. */
  readonly driver: 'bridge' | 'overlay' | 'host' | 'null';
  readonly createdAt: Date;
  /** Name of the bridge interface; empty for `host` and `none`. */
  readonly bridge: string;
  /** No way out of it: no default route, no published ports. */
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ipv6: boolean;
  readonly ipam: Ipam;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Ipam {
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly config: readonly IpamConfig[];
}

export interface IpamConfig {
  readonly subnet: string;
  readonly gateway?: string;
  readonly ipRange?: string;
  readonly auxiliaryAddresses?: Readonly<Record<string, string>>;
}

/** Made by the worker itself; nobody removes them. */
export const PREDEFINED_NETWORKS = ['bridge', 'host', 'none'] as const;

export const isPredefined = (name: string): boolean =>
  (PREDEFINED_NETWORKS as readonly string[]).includes(name);

/** The network's address block of a family, with its gateway; undefined when it has none. */
export function subnetOf(network: Network, family: 4 | 6): IpamConfig | undefined {
  return network.ipam.config.find(({ subnet }) => subnet.includes(':') === (family === 6));
}

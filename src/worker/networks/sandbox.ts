/** How one container is to be on the network. */
export interface SandboxRequest {
  readonly containerId: string;
  /** Without the leading slash; a DNS name on user-defined networks. */
  readonly containerName: string;
  readonly hostname: string;
  /** `host`, `none`, or `networks`: the ones below. (`container:` is resolved by the caller, who shares the other's namespace.) */
  readonly mode: 'host' | 'none' | 'networks';
  /** By network name or id, the first is the default route. */
  readonly endpoints: readonly EndpointRequest[];
  /** What `-p`, `-P` ask for. */
  readonly ports: readonly PortRequest[];
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  readonly extraHosts?: readonly string[];
}

export interface EndpointRequest {
  readonly network: string;
  readonly aliases?: readonly string[];
  readonly links?: readonly string[];
  readonly ipv4Address?: string;
  readonly ipv6Address?: string;
  readonly macAddress?: string;
  readonly driverOpts?: Readonly<Record<string, string>>;
}

export interface PortRequest {
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** Empty: all addresses. */
  readonly hostIp: string;
  /** 0 or absent: any free one. A range gives the first free one in it. */
  readonly hostPort?: number;
  readonly hostPortEnd?: number;
}

/** A live network namespace and what is in it. Survives a restart of the worker. */
export interface Sandbox {
  readonly containerId: string;
  /** Path of the namespace, `host`, or `new` where the runtime makes an empty one. */
  readonly namespace: string;
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly PublishedPort[];
  /** Contents for /etc/resolv.conf and /etc/hosts of the container. */
  readonly resolvConf: string;
  readonly hosts: string;
}

export interface Endpoint {
  readonly networkId: string;
  readonly networkName: string;
  readonly endpointId: string;
  readonly interfaceName: string;
  readonly macAddress: string;
  readonly ipv4Address: string;
  readonly prefixLength: number;
  /** Empty on internal networks. */
  readonly gateway: string;
  /** Empty, and 0, on networks without IPv6. */
  readonly ipv6Address: string;
  readonly ipv6PrefixLength: number;
  readonly ipv6Gateway: string;
  readonly aliases: readonly string[];
  readonly dnsNames: readonly string[];
}

export interface PublishedPort {
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly hostIp: string;
  readonly hostPort: number;
}

/** Puts containers on networks. Calls for different containers run at once. */
export interface Sandboxes {
  /** Throws `not-found` (network), `conflict` (port or address taken), `invalid`; then nothing is left behind. */
  attach(
    request: SandboxRequest,
    options?: {
      signal?: AbortSignal;
      /** Called as soon as the namespace exists, so that the runtime can begin beside the network's set-up. */
      onNamespace?: (namespace: string) => void;
    },
  ): Promise<Sandbox>;
  /** The sandbox of a container, also after a restart of the worker. */
  get(containerId: string): Promise<Sandbox | undefined>;
  /** Takes everything away again; not attached is no error. */
  detach(containerId: string): Promise<void>;
  /** Joins a running container to one more network / takes it off one. */
  connect(containerId: string, endpoint: EndpointRequest): Promise<Sandbox>;
  disconnect(containerId: string, network: string): Promise<Sandbox>;
  /** The name changes in DNS. */
  rename(containerId: string, name: string): Promise<void>;
}

/** A bridge and the address that the host has on it. */
export interface BridgeSpec {
  readonly name: string;
  readonly mtu: number;
  readonly addresses: readonly InterfaceAddress[];
}

/** The way from a bridge to those on other machines. */
export interface VxlanSpec {
  readonly name: string;
  readonly bridge: string;
  readonly vni: number;
  /** This end. */
  readonly local: string;
  readonly port: number;
  readonly mtu: number;
}

/** A container behind another machine. */
export interface RemoteStation {
  readonly ipv4Address: string;
  readonly macAddress: string;
  /** Where its packets are sent. */
  readonly destination: string;
}

export interface InterfaceAddress {
  readonly address: string;
  readonly prefixLength: number;
}

/** One interface of a container: a pair of which one end is inside and the other a port of a bridge. */
export interface Attachment {
  readonly bridge: string;
  /** Name of the end that stays with the host, unique on it. */
  readonly hostInterface: string;
  /** `eth0` … */
  readonly interfaceName: string;
  readonly macAddress: string;
  readonly mtu: number;
  readonly addresses: readonly InterfaceAddress[];
  /** Become the default routes of the namespace; at most one a family. */
  readonly gateways: readonly string[];
}

/**
 * Bridges, network namespaces and the interfaces between them. Nothing here knows of containers or of who has
 * which address. Calls for different namespaces and bridges run at once; every failure is `unavailable`.
 */
export interface NetworkDriver {
  /** Makes the bridge or completes one that is there. */
  ensureBridge(bridge: BridgeSpec): Promise<void>;
  hasInterface(name: string): Promise<boolean>;
  /** With all ends that hang on it; not there is no error. */
  removeBridge(name: string): Promise<void>;
  /** Interfaces that are ports of a bridge. */
  bridgePorts(name: string): Promise<string[]>;

  /** Makes the kernel's WireGuard interface; false when it has none. */
  createWireguard(name: string): Promise<boolean>;
  /** Gives an interface of the host addresses, and takes it up. */
  furnish(
    name: string,
    settings: { readonly mtu: number; readonly addresses: readonly InterfaceAddress[] },
  ): Promise<void>;

  /** Makes a VXLAN device that is a port of its bridge, or leaves the same one as it is. `conflict`: its number is taken. */
  ensureVxlan(vxlan: VxlanSpec): Promise<void>;
  /** These and no others are behind the device. */
  setStations(vxlan: string, stations: readonly RemoteStation[]): Promise<void>;

  /** An empty namespace, alive until it is removed and the last process has left it. Throws when the path is taken. */
  createNamespace(path: string): void;
  /** The kernel takes the interfaces away with it; not there is no error. */
  removeNamespace(path: string): void;

  /**
   * Puts a new interface into a namespace, up and addressed. The loopback interface comes up too. Its failure has
   * the code `ENODEV` when the bridge is not there.
   */
  join(namespace: string, attachment: Attachment): Promise<void>;
  /** Takes an interface away again by its host end; not there is no error. */
  leave(hostInterface: string): Promise<void>;
  /** Makes these gateways (at most one a family) the default routes of a namespace, instead of `former`. */
  setGateways(namespace: string, gateways: readonly string[], former?: readonly string[]): Promise<void>;

  /**
   * Makes the packet filter judge senders anew that it knows already: who kept sending to a UDP port of the host
   * while no container had it would never reach the one that has it now.
   */
  forgetUdpFlows(port: number): Promise<void>;

  /** Subnets that the host reaches already, with the interface they are behind; without the default route. */
  hostRoutes(): Promise<{ readonly subnet: string; readonly interfaceName: string }[]>;
  /** Of the interface that the host's default route uses; 1500 without one. */
  hostMtu(): Promise<number>;
}

/** Everything that the host's packet filter has to know, all of it each time. */
export interface FirewallState {
  readonly networks: readonly FirewallNetwork[];
  readonly ports: readonly ForwardedPort[];
}

export interface FirewallNetwork {
  readonly bridge: string;
  readonly subnet: string;
  /** Nothing goes out or in but within the network and to and from the host itself. */
  readonly internal: boolean;
  /** Outgoing traffic takes the host's address. */
  readonly masquerade: boolean;
  /** Whether containers of the network may talk to each other. */
  readonly interContainer: boolean;
  /** UDP of this and other machines that is not for who is on it: whoever reaches it can send to any overlay network. */
  readonly tunnelPort?: number | undefined;
}

/** A port of the host that leads to one of a container. */
export interface ForwardedPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** `0.0.0.0` for all addresses. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly address: string;
  readonly containerPort: number;
}

/** The host's packet filter, as far as it is ours. */
export interface Firewall {
  /** Brings the rules to what the state is now. Calls that come while one is under way share the next run. */
  sync(): Promise<void>;
  /** Puts rules back that somebody else has flushed. */
  repair(): Promise<void>;
  /** Takes every rule of ours away. */
  remove(): Promise<void>;
}

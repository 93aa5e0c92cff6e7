/** Tables of `worker/networks`. Columns named `…_json` hold JSON. */
export interface NetworkTables {
  networks: {
    id: string;
    name: string;
    driver: string;
    created_at: string;
    /** Name of the bridge interface; empty for `host` and `none`. */
    bridge: string;
    internal: number;
    attachable: number;
    ipv6: number;
    ipam_json: string;
    options_json: string;
    labels_json: string;
  };
  /** One row a container that is on the network now. */
  sandboxes: {
    container_id: string;
    container_name: string;
    hostname: string;
    mode: string;
    namespace: string;
    ports_json: string;
    /** Servers, search domains, options, extra hosts. */
    resolver_json: string;
  };
  endpoints: {
    id: string;
    container_id: string;
    network_id: string;
    /** Order within the container. */
    position: number;
    interface_name: string;
    host_interface: string;
    mac_address: string;
    /** Empty on `host` and `none`; unique within its network otherwise. */
    ipv4_address: string;
    ipv6_address: string;
    aliases_json: string;
    links_json: string;
  };
}

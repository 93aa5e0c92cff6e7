import { networkShape } from '#worker/http/networks-shapes.ts';
import { parseSubnet } from '#worker/networks/ip/subnet.ts';
import { type Network, subnetOf } from '#worker/networks/network.ts';
import type { OverlayState } from '#worker/networks/overlay/overlay-link.ts';

/** An overlay network in a list. */
export function overlayShape(network: Network): { Name: string; Id: string } {
  return networkShape({ network, endpoints: [] }, { containers: false }) as { Name: string; Id: string };
}

/** An overlay network with its containers on all workers, and those workers. */
export function overlayInspection({ network, endpoints, peers }: OverlayState): object {
  const { prefixLength } = parseSubnet(subnetOf(network, 4)!.subnet);
  return {
    ...overlayShape(network),
    Containers: Object.fromEntries(
      endpoints.map((endpoint) => [
        endpoint.containerId,
        {
          Name: endpoint.containerName,
          EndpointID: endpoint.endpointId,
          MacAddress: endpoint.macAddress,
          IPv4Address: `${endpoint.ipv4Address}/${prefixLength}`,
          IPv6Address: '',
        },
      ]),
    ),
    Peers: peers.map(({ worker, address }) => ({ Name: worker, IP: address })),
  };
}

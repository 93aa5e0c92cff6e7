import { z } from 'zod';
import { parseSubnet } from '../networks/ip/subnet.ts';
import { type IpamConfig, type Network, subnetOf } from '../networks/network.ts';
import type { CreateNetworkRequest } from '../networks/network-request.ts';
import type { NetworkUse } from '../networks/network-service.ts';
import type { EndpointRequest } from '../networks/sandbox.ts';

const strings = z.record(z.string(), z.string()).nullish();

/** `POST /networks/create`. Go clients send null for what they leave empty. */
export const createNetworkBody = z.object({
  Name: z.string().default(''),
  Driver: z.string().nullish(),
  Internal: z.boolean().nullish(),
  Attachable: z.boolean().nullish(),
  EnableIPv6: z.boolean().nullish(),
  Ingress: z.boolean().nullish(),
  ConfigOnly: z.boolean().nullish(),
  IPAM: z
    .object({
      Driver: z.string().nullish(),
      Options: strings,
      Config: z
        .array(
          z.object({
            Subnet: z.string().nullish(),
            IPRange: z.string().nullish(),
            Gateway: z.string().nullish(),
            AuxiliaryAddresses: strings,
            AuxAddress: strings,
          }),
        )
        .nullish(),
    })
    .nullish(),
  Options: strings,
  Labels: strings,
});

export function createNetworkRequest(body: z.infer<typeof createNetworkBody>): CreateNetworkRequest {
  const config = (body.IPAM?.Config ?? []).map((entry) => {
    const auxiliary = entry.AuxiliaryAddresses ?? entry.AuxAddress;
    return {
      ...(entry.Subnet && { subnet: entry.Subnet }),
      ...(entry.IPRange && { ipRange: entry.IPRange }),
      ...(entry.Gateway && { gateway: entry.Gateway }),
      ...(auxiliary && { auxiliaryAddresses: auxiliary }),
    };
  });
  return {
    name: body.Name,
    ...(body.Driver && { driver: body.Driver }),
    internal: body.Internal ?? false,
    attachable: body.Attachable ?? false,
    ipv6: body.EnableIPv6 ?? false,
    ipam: { driver: body.IPAM?.Driver || 'default', options: body.IPAM?.Options ?? {}, config },
    options: body.Options ?? {},
    labels: body.Labels ?? {},
  };
}

/** `POST /networks/{id}/connect`. */
export const connectBody = z.object({
  Container: z.string().default(''),
  EndpointConfig: z
    .object({
      IPAMConfig: z
        .object({ IPv4Address: z.string().nullish(), IPv6Address: z.string().nullish() })
        .nullish(),
      Links: z.array(z.string()).nullish(),
      Aliases: z.array(z.string()).nullish(),
      MacAddress: z.string().nullish(),
      DriverOpts: strings,
    })
    .nullish(),
});

export function endpointRequest(
  network: string,
  config: z.infer<typeof connectBody>['EndpointConfig'],
): EndpointRequest {
  const { IPv4Address, IPv6Address } = config?.IPAMConfig ?? {};
  return {
    network,
    aliases: config?.Aliases ?? [],
    links: config?.Links ?? [],
    ...(IPv4Address && { ipv4Address: IPv4Address }),
    ...(IPv6Address && { ipv6Address: IPv6Address }),
    ...(config?.MacAddress && { macAddress: config.MacAddress }),
    ...(config?.DriverOpts && { driverOpts: config.DriverOpts }),
  };
}

/** Containers are told of one network, and left out of lists. */
export function networkShape({ network, endpoints }: NetworkUse, options: { containers: boolean }): object {
  return {
    Name: network.name,
    Id: network.id,
    Created: network.createdAt.toISOString(),
    Scope: scopeOf(network),
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: network.ipv6,
    IPAM: {
      Driver: network.ipam.driver,
      Options: network.ipam.options,
      Config: network.ipam.config.map(ipamShape),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: options.containers ? containersShape(network, endpoints) : {},
    Options: network.options,
    Labels: network.labels,
  };
}

/** `global`: of the whole pool. */
export const scopeOf = ({ driver }: Network): 'local' | 'global' =>
  driver === 'overlay' ? 'global' : 'local';

function ipamShape({ subnet, ipRange, gateway, auxiliaryAddresses }: IpamConfig): object {
  return {
    Subnet: subnet,
    ...(ipRange && { IPRange: ipRange }),
    ...(gateway && { Gateway: gateway }),
    ...(auxiliaryAddresses && { AuxiliaryAddresses: auxiliaryAddresses }),
  };
}

function containersShape(network: Network, endpoints: NetworkUse['endpoints']): object {
  const withPrefix = (address: string, family: 4 | 6) => {
    const config = subnetOf(network, family);
    return address && config ? `${address}/${parseSubnet(config.subnet).prefixLength}` : '';
  };
  return Object.fromEntries(
    endpoints.map(({ record, endpoint }) => [
      record.containerId,
      {
        Name: record.containerName,
        EndpointID: endpoint.endpointId,
        MacAddress: endpoint.macAddress,
        IPv4Address: withPrefix(endpoint.ipv4Address, 4),
        IPv6Address: withPrefix(endpoint.ipv6Address, 6),
      },
    ]),
  );
}

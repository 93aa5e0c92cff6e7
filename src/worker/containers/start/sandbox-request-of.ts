import type { EndpointRequest, PortRequest, SandboxRequest } from '../../networks/sandbox.ts';
import type { ContainerRecord } from '../container.ts';
import type { EndpointConfig } from '../container-config.ts';

/** Describes a container to the networks. `links` are hosts that `--link` adds on the default bridge. */
export function sandboxRequestOf(record: ContainerRecord, links: readonly string[]): SandboxRequest {
  const { config, hostConfig: host } = record;
  const mode = config.NetworkDisabled ? 'none' : host.NetworkMode;
  const onNetworks = mode !== 'host' && mode !== 'none';
  return {
    containerId: record.id,
    containerName: record.name,
    hostname: config.Domainname ? `${config.Hostname}.${config.Domainname}` : config.Hostname,
    mode: onNetworks ? 'networks' : mode,
    endpoints: onNetworks
      ? Object.entries(record.networks).map(([name, own]) => endpointRequestOf(name, own))
      : [],
    ports: onNetworks ? portsOf(record) : [],
    ...(host.Dns?.length && { dns: host.Dns }),
    ...(host.DnsSearch?.length && { dnsSearch: host.DnsSearch }),
    ...(host.DnsOptions?.length && { dnsOptions: host.DnsOptions }),
    extraHosts: [...(host.ExtraHosts ?? []), ...links],
  };
}

export function endpointRequestOf(network: string, own: EndpointConfig): EndpointRequest {
  const { IPAMConfig: ipam } = own;
  return {
    network,
    ...(own.Aliases?.length && { aliases: own.Aliases }),
    ...(own.Links?.length && { links: own.Links }),
    ...(ipam?.IPv4Address && { ipv4Address: ipam.IPv4Address }),
    ...(ipam?.IPv6Address && { ipv6Address: ipam.IPv6Address }),
    ...(own.MacAddress && { macAddress: own.MacAddress }),
    ...(own.DriverOpts && { driverOpts: own.DriverOpts }),
  };
}

/** What `-p` names, and with `-P` a port of the host for whatever else is exposed. */
function portsOf({ config, hostConfig }: ContainerRecord): PortRequest[] {
  const ports = Object.entries(hostConfig.PortBindings).flatMap(([port, bindings]) =>
    (bindings ?? []).map((binding) => portRequest(port, binding.HostIp, binding.HostPort)),
  );
  if (!hostConfig.PublishAllPorts) return ports;
  const bound = new Set(Object.keys(hostConfig.PortBindings).map(withProtocol));
  const exposed = Object.keys(config.ExposedPorts ?? {}).flatMap(expandPorts);
  return [...ports, ...exposed.filter((port) => !bound.has(port)).map((port) => portRequest(port, '', ''))];
}

function portRequest(port: string, hostIp: string, hostPort: string): PortRequest {
  const [number, protocol] = withProtocol(port).split('/') as [string, PortRequest['protocol']];
  const [first, last] = hostPort.split('-').map(Number);
  return {
    containerPort: Number(number),
    protocol,
    hostIp,
    ...(first && { hostPort: first }),
    ...(last && { hostPortEnd: last }),
  };
}

/** `80` is `80/tcp`. */
export function withProtocol(port: string): string {
  const [number, protocol = 'tcp'] = port.split('/');
  return `${number}/${protocol.toLowerCase()}`;
}

/** `8000-8002/tcp` is three ports. */
export function expandPorts(range: string): string[] {
  const [numbers, protocol] = withProtocol(range).split('/') as [string, string];
  const [first, last = first] = numbers.split('-').map(Number) as [number, number?];
  return Array.from({ length: Math.max(0, last! - first + 1) }, (_, index) => `${first + index}/${protocol}`);
}

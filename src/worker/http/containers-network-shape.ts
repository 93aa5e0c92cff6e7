import type { Container } from '../containers/container.ts';
import { portMap } from '../containers/published-ports.ts';
import type { Endpoint } from '../networks/sandbox.ts';

/** `NetworkSettings` of inspect, with the default bridge's addresses also at the top, as older clients read them. */
export function networkSettingsShape(container: Container): object {
  const { sandbox } = container;
  const bridge = sandbox?.endpoints.find((endpoint) => endpoint.networkName === 'bridge');
  return {
    Bridge: '',
    SandboxID: sandbox ? container.id : '',
    SandboxKey:
      sandbox && sandbox.namespace !== 'host' && sandbox.namespace !== 'new' ? sandbox.namespace : '',
    Ports: portMap(container),
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.endpointId ?? '',
    Gateway: bridge?.gateway ?? '',
    GlobalIPv6Address: bridge?.ipv6Address ?? '',
    GlobalIPv6PrefixLen: bridge?.ipv6PrefixLength ?? 0,
    IPAddress: bridge?.ipv4Address ?? '',
    IPPrefixLen: bridge?.prefixLength ?? 0,
    IPv6Gateway: bridge?.ipv6Gateway ?? '',
    MacAddress: bridge?.macAddress ?? '',
    Networks: networksShape(container),
  };
}

/** By network name: what its user asked for, and what it got while it runs. */
export function networksShape({ record, sandbox }: Container): Record<string, object> {
  const endpoints = sandbox?.endpoints ?? [];
  const shapes: Record<string, object> = {};
  for (const [name, own] of Object.entries(record.networks)) {
    const endpoint = endpoints.find((candidate) => isOn(candidate, name === 'default' ? 'bridge' : name));
    shapes[endpoint?.networkName ?? name] = {
      IPAMConfig: own.IPAMConfig,
      Links: own.Links,
      Aliases: own.Aliases,
      MacAddress: endpoint?.macAddress ?? '',
      DriverOpts: own.DriverOpts,
      GwPriority: own.GwPriority,
      NetworkID: endpoint?.networkId ?? '',
      EndpointID: endpoint?.endpointId ?? '',
      Gateway: endpoint?.gateway ?? '',
      IPAddress: endpoint?.ipv4Address ?? '',
      IPPrefixLen: endpoint?.prefixLength ?? 0,
      IPv6Gateway: endpoint?.ipv6Gateway ?? '',
      GlobalIPv6Address: endpoint?.ipv6Address ?? '',
      GlobalIPv6PrefixLen: endpoint?.ipv6PrefixLength ?? 0,
      DNSNames: endpoint?.dnsNames.length ? endpoint.dnsNames : null,
    };
  }
  return shapes;
}

function isOn({ networkId, networkName }: Endpoint, reference: string): boolean {
  return (
    networkName === reference ||
    networkId === reference ||
    (reference.length >= 12 && networkId.startsWith(reference))
  );
}

import type { FirewallNetwork, FirewallState, ForwardedPort } from './firewall.ts';

/** Our own chains, and the jumps into them from the kernel's. */
export interface Chains {
  readonly table: 'nat' | 'filter';
  readonly chain: string;
  /** Rules (`PREROUTING … -j …`) that lead here, as iptables-save prints them. */
  readonly hooks: readonly string[];
}

export function chainsOf(prefix: string): Chains[] {
  const local = '-m addrtype --dst-type LOCAL';
  return [
    {
      table: 'nat',
      chain: `${prefix}-DNAT`,
      hooks: [`PREROUTING ${local} -j ${prefix}-DNAT`, `OUTPUT ${local} -j ${prefix}-DNAT`],
    },
    { table: 'nat', chain: `${prefix}-SNAT`, hooks: [`POSTROUTING -j ${prefix}-SNAT`] },
    { table: 'filter', chain: `${prefix}-FORWARD`, hooks: [`FORWARD -j ${prefix}-FORWARD`] },
    { table: 'filter', chain: `${prefix}-INPUT`, hooks: [`INPUT -j ${prefix}-INPUT`] },
  ];
}

/**
 * Input for `iptables-restore --noflush`: naming a chain empties it, so each run replaces all of our rules in one
 * transaction and leaves everybody else's alone. `missing` hooks are put at the head of their chains.
 */
export function restoreInput(prefix: string, state: FirewallState, missing: readonly string[]): string {
  const rules: Record<string, string[]> = {
    [`${prefix}-DNAT`]: state.ports.map(destinationRule),
    [`${prefix}-SNAT`]: state.networks.flatMap(sourceRules),
    [`${prefix}-FORWARD`]: forwardRules(state.networks),
    [`${prefix}-INPUT`]: state.networks.map(inputRule),
  };
  return tables(prefix, (chain) => [
    ...chain.hooks.filter((hook) => missing.includes(hook)).map((hook) => `-I ${hook}`),
    ...(rules[chain.chain] ?? []).map((rule) => `-A ${chain.chain} ${rule}`),
  ]);
}

/** Input that takes our chains away, with those of the hooks that are there. */
export function removeInput(prefix: string, present: readonly string[]): string {
  return tables(prefix, (chain) => [
    ...chain.hooks.filter((hook) => present.includes(hook)).map((hook) => `-D ${hook}`),
    `-X ${chain.chain}`,
  ]);
}

function tables(prefix: string, lines: (chain: Chains) => string[]): string {
  const chains = chainsOf(prefix);
  return (['nat', 'filter'] as const)
    .map((table) => {
      const own = chains.filter((chain) => chain.table === table);
      const declared = own.map(({ chain }) => `:${chain} - [0:0]`);
      return [`*${table}`, ...declared, ...own.flatMap(lines), 'COMMIT', ''].join('\n');
    })
    .join('');
}

function destinationRule(port: ForwardedPort): string {
  const address = port.hostIp === '0.0.0.0' ? '' : `-d ${port.hostIp}/32 `;
  const match = `-p ${port.protocol} -m ${port.protocol} --dport ${port.hostPort}`;
  return `${address}${match} -j DNAT --to-destination ${port.address}:${port.containerPort}`;
}

function sourceRules({ bridge, subnet, internal, masquerade }: FirewallNetwork): string[] {
  if (internal) return [];
  return [
    ...(masquerade ? [`-s ${subnet} ! -o ${bridge} -j MASQUERADE`] : []),
    // A neighbour that came in by a published port must be answered by way of the host, which translates back.
    `-s ${subnet} -o ${bridge} -m conntrack --ctstate DNAT -j MASQUERADE`,
    // From the host's own 127.0.0.1, which means something else inside.
    `-s 127.0.0.0/8 -o ${bridge} -j MASQUERADE`,
  ];
}

/** What goes to a container comes first, so that being let out of one network never means being let into another. */
function forwardRules(networks: readonly FirewallNetwork[]): string[] {
  const inward = networks.flatMap(({ bridge, internal, interContainer }) => {
    const within = `-i ${bridge} -o ${bridge} -j ${interContainer ? 'ACCEPT' : 'DROP'}`;
    const foreign = `! -i ${bridge} -o ${bridge} -j DROP`;
    if (internal) return [within, foreign];
    return [`-o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT`, within, foreign];
  });
  const outward = networks.map(({ bridge, internal }) => `-i ${bridge} -j ${internal ? 'DROP' : 'ACCEPT'}`);
  return [...inward, ...outward];
}

/** 127.0.0.1 of the host is routable on our bridges; only answers may come in by it. */
const inputRule = ({ bridge }: FirewallNetwork): string =>
  `-d 127.0.0.0/8 -i ${bridge} -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP`;

import type { FirewallNetwork, FirewallState, ForwardedPort } from './firewall.ts';

/** A chain of our own, and the jumps into it from the kernel's. */
export interface Chain {
  readonly table: 'nat' | 'filter';
  readonly chain: string;
  /** Rules (`PREROUTING … -j …`) that lead here, as iptables-save prints them. */
  readonly hooks: readonly string[];
}

export function chainsOf(prefix: string): Chain[] {
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

/** All rules that a state asks for, by chain, in order. */
export function rulesOf(prefix: string, state: FirewallState): RulesByChain {
  return new Map([
    [`${prefix}-DNAT`, state.ports.map(destinationRule)],
    [`${prefix}-SNAT`, state.networks.flatMap(sourceRules)],
    [`${prefix}-FORWARD`, forwardRules(state.networks)],
    [`${prefix}-INPUT`, state.networks.flatMap(inputRules)],
  ]);
}

export type RulesByChain = ReadonlyMap<string, readonly string[]>;

/**
 * Input for `iptables-restore --noflush` that leads from the rules that are there to those that are wanted, in one
 * transaction; everybody else's are left alone. A chain that only grew is appended to (5 ms): taking a rule away
 * makes the kernel wait (30 ms). Empty when there is nothing to do. `missing` hooks go to the head of their chains.
 */
export function restoreInput(
  prefix: string,
  before: RulesByChain,
  wanted: RulesByChain,
  missing: readonly string[],
): string {
  return tables(prefix, ({ chain, hooks }) => {
    const [old, rules] = [before.get(chain), wanted.get(chain) ?? []];
    const grew = old?.every((rule, index) => rule === rules[index]) ?? false;
    const added = grew ? rules.slice(old?.length) : rules;
    return [
      // Naming a chain makes it, or empties it.
      ...(grew ? [] : [`:${chain} - [0:0]`]),
      ...hooks.filter((hook) => missing.includes(hook)).map((hook) => `-I ${hook}`),
      ...added.map((rule) => `-A ${chain} ${rule}`),
    ];
  });
}

/** Input that takes our chains away, with those of the hooks that are there. */
export function removeInput(prefix: string, present: readonly string[]): string {
  return tables(prefix, ({ chain, hooks }) => [
    `:${chain} - [0:0]`,
    ...hooks.filter((hook) => present.includes(hook)).map((hook) => `-D ${hook}`),
    `-X ${chain}`,
  ]);
}

function tables(prefix: string, lines: (chain: Chain) => string[]): string {
  const sections = (['nat', 'filter'] as const).map((table) => {
    const content = chainsOf(prefix)
      .filter((chain) => chain.table === table)
      .flatMap(lines);
    return content.length === 0 ? '' : `*${table}\n${content.join('\n')}\nCOMMIT\n`;
  });
  return sections.join('');
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
  const tunnels = networks.flatMap(tunnelRule);
  const outward = networks.map(({ bridge, internal }) => `-i ${bridge} -j ${internal ? 'DROP' : 'ACCEPT'}`);
  return [...tunnels, ...inward, ...outward];
}

/** 127.0.0.1 of the host is routable on our bridges; only answers may come in by it. */
const inputRules = (network: FirewallNetwork): string[] => [
  ...tunnelRule(network),
  `-d 127.0.0.0/8 -i ${network.bridge} -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP`,
];

const tunnelRule = ({ bridge, tunnelPort }: FirewallNetwork): string[] =>
  tunnelPort === undefined ? [] : [`-i ${bridge} -p udp -m udp --dport ${tunnelPort} -j DROP`];

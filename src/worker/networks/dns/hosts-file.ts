import { invalid } from '#errors/errors.ts';

export interface HostsEntry {
  readonly address: string;
  readonly names: readonly string[];
}

const LOCALHOST = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::\tip6-localnet',
  'ff00::\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

export function formatHosts(entries: readonly HostsEntry[]): string {
  const lines = entries.map(({ address, names }) => `${address}\t${names.join(' ')}`);
  return `${[...LOCALHOST, ...lines].join('\n')}\n`;
}

/** `name:address` of `--add-host`; the address may be IPv6, or `host-gateway` for the host itself. */
export function parseExtraHost(text: string, hostGateway: string): HostsEntry {
  const separator = text.search(/[:=]/);
  const name = text.slice(0, separator);
  const address = text.slice(separator + 1).replace(/^\[(.*)\]$/, '$1');
  if (separator < 1 || address === '') throw invalid(`bad format for add-host: "${text}"`);
  return { address: address === 'host-gateway' ? hostGateway : address, names: [name] };
}

import { isIPv4, isIPv6 } from 'node:net';
import type { ResolverSettings } from '../sandbox-record.ts';

/** What a resolv.conf says. */
export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Where the embedded resolver is for containers on networks with names. */
export const EMBEDDED_RESOLVER = '127.0.0.11';

/** For hosts whose only servers are on their own loopback. */
const PUBLIC_SERVERS = ['8.8.8.8', '8.8.4.4'];

export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let search: string[] = [];
  let options: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && values[0]) nameservers.push(values[0]);
    if (keyword === 'search' || keyword === 'domain') search = values;
    if (keyword === 'options') options = [...options, ...values];
  }
  return { nameservers, search, options };
}

export function formatResolvConf({ nameservers, search, options }: ResolvConf): string {
  const lines = nameservers.map((server) => `nameserver ${server}`);
  if (search.length > 0) lines.push(`search ${search.join(' ')}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return `${lines.join('\n')}\n`;
}

/** Servers that a container can ask: the host's without those that mean something else inside. */
export function reachableServers(host: ResolvConf): string[] {
  const servers = host.nameservers.filter((server) => !isLoopback(server));
  return servers.length > 0 ? servers : PUBLIC_SERVERS;
}

/** A container's resolv.conf: the host's, with what was asked for instead. `.` as search domain means none. */
export function containerResolvConf(
  host: ResolvConf,
  settings: ResolverSettings,
  server: 'embedded' | 'direct' | 'host',
): string {
  const asked = settings.dns.length > 0 ? settings.dns : undefined;
  const direct = asked ?? (server === 'host' ? host.nameservers : reachableServers(host));
  const search =
    settings.search.length > 0 ? settings.search.filter((domain) => domain !== '.') : host.search;
  const options = settings.options.length > 0 ? settings.options : host.options;
  if (server !== 'embedded') return formatResolvConf({ nameservers: direct, search, options });
  const withNdots = options.some((option) => option.startsWith('ndots:')) ? options : [...options, 'ndots:0'];
  return formatResolvConf({ nameservers: [EMBEDDED_RESOLVER], search, options: withNdots });
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/%.*$/, '');
  if (isIPv4(plain)) return plain.startsWith('127.');
  return !isIPv6(plain) || plain === '::1';
}

import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { BlockList, isIP } from 'node:net';
import { forbidden, invalid } from '#errors/errors.ts';

/** Networks that are not the internet (IANA's special-purpose registries), or stand for addresses that may not be. */
const SPECIAL = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  '::1/128',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

type Done = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/**
 * Where requests that others ask for may go: to the internet, not into Slipway's own network, unless the operator
 * allows it. What is checked is the very address that is connected to, so a name cannot mean another one by then.
 */
export class TargetPolicy {
  readonly #special = networks(SPECIAL);
  readonly #allowed: BlockList;
  readonly #setting: string;

  /** `allowed`: networks such as `10.1.0.0/16`, or addresses, from the operator's `setting`. Throws `invalid`. */
  constructor(options: { allowed: readonly string[]; setting: string }) {
    this.#allowed = networks(options.allowed);
    this.#setting = options.setting;
  }

  /** Throws `invalid` for what is no plain HTTP URL, `forbidden` for an address that is out of bounds. */
  check(text: string): URL {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
      throw invalid('expected an http or https URL without credentials');
    }
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0 && !this.#permits(host)) throw this.#refused(host);
    return url;
  }

  /** For `http.request`: resolves a name to those of its addresses that may be connected to. */
  readonly lookup = (hostname: string, options: LookupOptions, done: Done): void => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, []);
      const permitted = addresses.filter(({ address }) => this.#permits(address));
      const [first] = permitted;
      if (!first) return done(this.#refused(hostname), []);
      if (options.all) done(null, permitted);
      else done(null, first.address, first.family);
    });
  };

  #permits(address: string): boolean {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    return this.#allowed.check(address, family) || !this.#special.check(address, family);
  }

  #refused(host: string) {
    return forbidden(`${host} is not on the internet, and ${this.#setting} does not have it`);
  }
}

function networks(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [address = '', bits] = text.split('/');
    const version = isIP(address);
    const family = version === 6 ? 'ipv6' : 'ipv4';
    const longest = version === 6 ? 128 : 32;
    const prefix = bits === undefined ? longest : Number(bits);
    if (version === 0 || !Number.isInteger(prefix) || prefix < 0 || prefix > longest) {
      throw invalid(`${JSON.stringify(text)} is no network such as 10.1.0.0/16`);
    }
    list.addSubnet(address, prefix, family);
  }
  return list;
}

import { lookup as resolve } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { forbidden } from '#errors/errors.ts';

/** What a builder that strangers use had better not reach: this machine, its neighbours, clouds' metadata. */
const INTERNAL_NETWORKS = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/3'],
  ...['::/127', '64:ff9b::/96', 'fc00::/7', 'fe80::/10', 'ff00::/8'],
];

/** Which addresses builds may download from. */
export class AddressPolicy {
  readonly #refused = new BlockList();

  /** `refused` in CIDR notation; `internal` stands for `INTERNAL_NETWORKS`. */
  constructor(refused: readonly string[] = []) {
    const networks = refused.flatMap((network) => (network === 'internal' ? INTERNAL_NETWORKS : [network]));
    for (const network of networks) {
      const [address = '', prefix = ''] = network.split('/');
      const version = isIP(address);
      if (version === 0) throw new TypeError(`not a network: ${network}`);
      const length = prefix === '' ? (version === 4 ? 32 : 128) : Number(prefix);
      this.#refused.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6');
    }
  }

  /** Whether there is an address that is refused. */
  get restricts(): boolean {
    return this.#refused.rules.length > 0;
  }

  /** Throws `forbidden`. */
  check(address: string): void {
    const version = isIP(address);
    if (version !== 0 && this.#refused.check(address, version === 4 ? 'ipv4' : 'ipv6')) {
      throw forbidden(`builds may not download from ${address}`);
    }
  }

  /** Looks a name up for a connection to exactly the addresses that were checked. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '');
      try {
        for (const { address } of addresses) this.check(address);
      } catch (refusal) {
        return callback(refusal as NodeJS.ErrnoException, '');
      }
      const [first] = addresses;
      if (options.all) callback(null, addresses);
      else callback(null, first!.address, first!.family);
    });
  };
}

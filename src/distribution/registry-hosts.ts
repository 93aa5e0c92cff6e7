import { BlockList, isIP } from 'node:net';
import { invalid } from '#errors/errors.ts';
import { DEFAULT_DOMAIN } from '#oci/reference.ts';

export interface RegistryHostsOptions {
  /** Where Docker Hub's images are looked up first: `http://127.0.0.1:5000`, in order. */
  readonly mirrors?: readonly string[];
  /** Spoken to in plain HTTP besides loopback: `registry.local:5000`, `10.0.0.0/8`. */
  readonly insecure?: readonly string[];
  /** Throws for a registry that is not to be talked to. */
  readonly allow?: (domain: string) => void;
}

const HUB = new URL('https://registry-1.docker.io');

/** Which address stands for the registry that a reference names. */
export class RegistryHosts {
  readonly #mirrors: readonly URL[];
  readonly #insecureNames = new Set<string>();
  readonly #insecureNetworks = new BlockList();
  readonly #allow: (domain: string) => void;

  /** Throws `invalid` for an address that is none. */
  constructor(options: RegistryHostsOptions = {}) {
    this.#allow = options.allow ?? (() => {});
    this.#mirrors = (options.mirrors ?? []).map(mirrorUrl);
    this.#insecureNetworks.addSubnet('127.0.0.0', 8, 'ipv4');
    this.#insecureNetworks.addAddress('::1', 'ipv6');
    for (const entry of options.insecure ?? []) this.#addInsecure(entry);
  }

  /** Where to pull from, best first. */
  forPull(domain: string): URL[] {
    this.#allow(domain);
    return domain === DEFAULT_DOMAIN ? [...this.#mirrors, HUB] : [this.#origin(domain)];
  }

  forPush(domain: string): URL {
    this.#allow(domain);
    return domain === DEFAULT_DOMAIN ? HUB : this.#origin(domain);
  }

  /** Whether a registry is spoken to in plain HTTP. */
  isInsecure(domain: string): boolean {
    const { hostname } = new URL(`http://${domain}`);
    const address = hostname.replace(/^\[|\]$/g, '');
    const family = isIP(address);
    if (family !== 0)
      return (
        this.#insecureNetworks.check(address, family === 6 ? 'ipv6' : 'ipv4') || this.#named(domain, hostname)
      );
    return hostname === 'localhost' || this.#named(domain, hostname);
  }

  #named(domain: string, hostname: string): boolean {
    return this.#insecureNames.has(domain.toLowerCase()) || this.#insecureNames.has(hostname);
  }

  #origin(domain: string): URL {
    return new URL(`${this.isInsecure(domain) ? 'http' : 'https'}://${domain}`);
  }

  #addInsecure(entry: string): void {
    const [address = '', bits] = entry.split('/');
    if (bits === undefined) {
      this.#insecureNames.add(entry.toLowerCase());
      return;
    }
    const family = isIP(address);
    const prefix = Number(bits);
    if (family === 0 || !/^\d{1,3}$/.test(bits) || prefix > (family === 6 ? 128 : 32)) {
      throw invalid(`invalid insecure registry ${JSON.stringify(entry)}`);
    }
    this.#insecureNetworks.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
  }
}

function mirrorUrl(text: string): URL {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw invalid(`invalid registry mirror ${JSON.stringify(text)}: it is no http or https URL`);
  }
  return new URL(new URL(text).origin);
}

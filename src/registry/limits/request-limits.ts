import { isIPv6 } from 'node:net';
import type { Networks } from './networks.ts';
import type { Rate, SharedBuckets, Taken } from './shared-buckets.ts';

export interface RequestLimitsOptions {
  readonly buckets: SharedBuckets;
  /** Requests of an address. None is null, here and below. */
  readonly address: Rate | null;
  /** Requests of a user or robot. */
  readonly principal: Rate | null;
  /** Manifests that a user or robot fetches, or an address without either. */
  readonly pulls: Rate | null;
  /** Addresses without limits. */
  readonly exempt: Networks;
}

export type LimitName = 'address' | 'principal' | 'pulls';

/** What a limit says to one request. */
export interface Verdict extends Taken {
  readonly limit: LimitName;
  readonly rate: Rate;
}

/** How many requests come from whom. Each method counts one, and says nothing where there is no limit. */
export class RequestLimits {
  readonly #options: RequestLimitsOptions;

  constructor(options: RequestLimitsOptions) {
    this.#options = options;
  }

  byAddress(address: string): Verdict | undefined {
    return this.#take('address', this.#options.address, address);
  }

  /** `anonymous` has only its address. */
  byPrincipal(principal: string, address: string): Verdict | undefined {
    if (principal === 'anonymous') return undefined;
    return this.#take('principal', this.#options.principal, address, principal);
  }

  pull(principal: string, address: string): Verdict | undefined {
    const named = principal === 'anonymous' ? undefined : principal;
    return this.#take('pulls', this.#options.pulls, address, named);
  }

  #take(limit: LimitName, rate: Rate | null, address: string, principal?: string): Verdict | undefined {
    if (rate === null || this.#options.exempt.include(address)) return undefined;
    const key = principal ?? addressKey(address);
    return { limit, rate, ...this.#options.buckets.take(`${limit} ${key}`, rate) };
  }
}

/** An IPv6 client has a /64 to choose addresses from: that counts as one. */
export function addressKey(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%')[0]!.toLowerCase().split('::');
  const groups = head.split(':').filter(Boolean);
  const rest = tail?.split(':').filter(Boolean) ?? [];
  // An IPv4 address at the end stands for two groups.
  const written = groups.length + rest.length + (address.includes('.') ? 1 : 0);
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - written);
  const all = [...groups, ...Array<string>(zeros).fill('0'), ...rest];
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}

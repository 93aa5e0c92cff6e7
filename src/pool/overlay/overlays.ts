import { createHash } from 'node:crypto';
import type { Wakes } from '#async/wakes.ts';
import { invalid } from '#errors/errors.ts';
import { bridgeOptions } from '#worker/networks/bridge-options.ts';
import type { AddressPool } from '#worker/networks/ip/subnet-choice.ts';
import type { Network } from '#worker/networks/network.ts';
import { type CreateNetworkRequest, planNetwork } from '#worker/networks/network-request.ts';
import type { OverlayNews, OverlayState } from '#worker/networks/overlay/overlay-link.ts';
import { overlayOptions, VNI_OPTION } from '#worker/networks/overlay/overlay-options.ts';
import type { OverlayEndpointsRepository } from './overlay-endpoints-repository.ts';
import type { OverlayNetworksRepository } from './overlay-networks-repository.ts';

/** In milliseconds: how often it is looked whether a worker was lost, while nobody comes or goes. */
const LONGEST_WAIT = 5_000;

/** Networks that reach over all workers, as clients see them. */
export class Overlays {
  readonly #networks: OverlayNetworksRepository;
  readonly #endpoints: OverlayEndpointsRepository;
  readonly #pools: readonly AddressPool[];
  readonly #most: () => number | null;

  constructor(
    ports: { networks: OverlayNetworksRepository; endpoints: OverlayEndpointsRepository },
    /** `most`: how many there may be; null for any number. */
    options: { addressPools: readonly AddressPool[]; most?: () => number | null },
  ) {
    this.#networks = ports.networks;
    this.#endpoints = ports.endpoints;
    this.#pools = options.addressPools;
    this.#most = options.most ?? (() => null);
  }

  /** Throws `conflict` (name, number), `forbidden` (subnet, predefined name), `invalid`. */
  async create(request: CreateNetworkRequest): Promise<Network> {
    const hasIpv6 = request.ipv6 || request.ipam?.config?.some(({ subnet }) => subnet?.includes(':'));
    if (hasIpv6) throw invalid('overlay networks have no IPv6');
    const plan = (others: readonly Network[], vni: number): Network => {
      const around = { networks: others, hostSubnets: [], pools: this.#pools };
      const options = { [VNI_OPTION]: String(vni), ...request.options };
      const network = {
        ...planNetwork({ ...request, driver: 'bridge', options }, around),
        driver: 'overlay' as const,
      };
      overlayOptions(network);
      bridgeOptions(network);
      return network;
    };
    return await this.#networks.create(plan, { most: this.#most() });
  }

  list(): Promise<Network[]> {
    return this.#networks.list();
  }

  unused(): Promise<Network[]> {
    return this.#networks.unused();
  }

  find(id: string): Promise<Network | undefined> {
    return this.#networks.find(id);
  }

  /** Who is on it, and where. */
  async state(id: string): Promise<OverlayState | undefined> {
    return (await this.#endpoints.states([id]))[0];
  }

  /** Throws `forbidden` when somebody is on it. */
  remove(network: Network): Promise<void> {
    return this.#networks.remove(network);
  }

  /** For a container whose worker does not answer; false when it was not on it. */
  forceLeave(networkId: string, containerId: string): Promise<boolean> {
    return this.#endpoints.leave(undefined, networkId, containerId);
  }
}

/** Waits, but not long, for news of networks that are not those of the tag. */
export async function newsOf(
  { endpoints, wakes }: { endpoints: OverlayEndpointsRepository; wakes: Wakes },
  ids: readonly string[],
  tag: string | undefined,
): Promise<OverlayNews> {
  for (let isLast = false; ; isLast = true) {
    const seen = wakes.now;
    const networks = await endpoints.states(ids);
    const news = { networks, gone: ids.filter((id) => !networks.some(({ network }) => network.id === id)) };
    const current = createHash('sha256').update(JSON.stringify(news)).digest('base64url');
    if (current !== tag) return { tag: current, ...news };
    if (isLast) return { tag };
    await wakes.after(seen, LONGEST_WAIT, new AbortController().signal);
  }
}

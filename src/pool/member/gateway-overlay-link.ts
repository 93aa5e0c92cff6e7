import { unlessGivenUp } from '#async/unless-given-up.ts';
import { forbidden, unavailable } from '#errors/errors.ts';
import type { Network } from '#worker/networks/network.ts';
import type {
  OverlayEndpoint,
  OverlayLink,
  OverlayNews,
  OverlayPeer,
  OverlayState,
  OverlayWish,
} from '#worker/networks/overlay/overlay-link.ts';

/** Asks the pool's gateway for something, in the name of this worker's lease. Throws what it says, `unavailable`. */
type Ask = (method: 'POST', path: string, body: unknown) => Promise<unknown>;

/** How long something waits for a worker that has just begun to have its lease, in milliseconds. */
const PATIENCE = 15_000;

/** A worker's overlay networks by way of its gateway. A worker serves before it has joined its pool: `use` comes later. */
export class GatewayOverlayLink implements OverlayLink {
  readonly #given = Promise.withResolvers<Ask>();
  readonly #tenant: string | undefined;
  readonly #most: () => number | null;
  /** The networks that are in use here. */
  #joined = new Set<string>();

  /** Without a tenant: the operator's. `most`: on how many networks its containers may be. */
  constructor({ tenant, most = () => null }: { tenant?: string; most?: () => number | null } = {}) {
    this.#tenant = tenant;
    this.#most = most;
  }

  /** From now on asks this. */
  use(ask: Ask): void {
    this.#given.resolve(ask);
  }

  async find(reference: string): Promise<Network | undefined> {
    const { network } = (await this.#post('network', { reference })) as { network?: Network };
    return network && dated(network);
  }

  async join(wish: OverlayWish): Promise<OverlayState> {
    const most = this.#most();
    if (most !== null && this.#joined.size >= most && !this.#joined.has(wish.networkId)) {
      throw forbidden(`your tenant's policy does not allow more than ${most} overlay networks`);
    }
    const { state } = (await this.#post('join', wish)) as { state: OverlayState };
    this.#joined.add(wish.networkId);
    return { ...state, network: dated(state.network) };
  }

  async leave(networkId: string, containerId: string): Promise<void> {
    await this.#post('leave', { networkId, containerId });
  }

  async rename(endpoint: OverlayEndpoint): Promise<void> {
    await this.#post('rename', endpoint);
  }

  async sync(self: Omit<OverlayPeer, 'worker'>, endpoints: readonly OverlayEndpoint[]): Promise<void> {
    this.#joined = new Set(endpoints.map(({ networkId }) => networkId));
    await this.#post('sync', { self, endpoints });
  }

  async news(networkIds: readonly string[], tag: string | undefined): Promise<OverlayNews> {
    const news = (await this.#post('news', { networkIds, ...(tag && { tag }) })) as OverlayNews;
    for (const id of news.gone ?? []) this.#joined.delete(id);
    const networks = news.networks?.map((state) => ({ ...state, network: dated(state.network) }));
    return { ...news, ...(networks && { networks }) };
  }

  async #post(what: string, body: object): Promise<unknown> {
    const ask = await unlessGivenUp(this.#given.promise, { within: PATIENCE });
    if (!ask) throw unavailable('this worker has not joined its pool yet');
    return await ask('POST', `/overlay/${what}`, { ...body, ...(this.#tenant && { tenant: this.#tenant }) });
  }
}

const dated = (network: Network): Network => ({ ...network, createdAt: new Date(network.createdAt) });

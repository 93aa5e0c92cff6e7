import type { Credentials } from '#distribution/authorizer.ts';
import type { Registries } from '#distribution/registries.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { ImageDigests } from './triggers.ts';

/** Asks registries that speak the Distribution API: each itself, as a mirror may be behind. */
export class RegistryDigests implements ImageDigests {
  readonly #registries: Registries;
  readonly #credentials: (domain: string, tenant?: string) => Promise<Credentials | undefined>;

  constructor(ports: {
    registries: Registries;
    /** Without a tenant: the pool's own. */
    credentials: (domain: string, tenant?: string) => Promise<Credentials | undefined>;
  }) {
    this.#registries = ports.registries;
    this.#credentials = ports.credentials;
  }

  async digestOf(
    image: string,
    { tenant, signal }: Parameters<ImageDigests['digestOf']>[1],
  ): Promise<string> {
    const reference = parseImageReference(image);
    const credentials = await this.#credentials(reference.domain, tenant);
    const fetcher = this.#registries.fetchers(reference, credentials).at(-1)!;
    return (await fetcher.resolve(reference.tag ?? 'latest', { ...(signal && { signal }) })).digest;
  }
}

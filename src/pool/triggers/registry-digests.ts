import type { Credentials } from '#distribution/authorizer.ts';
import type { Registries } from '#distribution/registries.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { TenantRegistries } from './tenant-registries.ts';
import type { ImageDigests } from './triggers.ts';

/** Asks registries that speak the Distribution API: each itself, as a mirror may be behind. */
export class RegistryDigests implements ImageDigests {
  readonly #registries: Registries;
  readonly #ofTenants: Pick<TenantRegistries, 'of'>;
  readonly #credentials: (domain: string, tenant?: string) => Promise<Credentials | undefined>;

  constructor(ports: {
    registries: Registries;
    ofTenants: Pick<TenantRegistries, 'of'>;
    /** Without a tenant: the pool's own. */
    credentials: (domain: string, tenant?: string) => Promise<Credentials | undefined>;
  }) {
    this.#registries = ports.registries;
    this.#ofTenants = ports.ofTenants;
    this.#credentials = ports.credentials;
  }

  async digestOf(
    image: string,
    { tenant, signal }: Parameters<ImageDigests['digestOf']>[1],
  ): Promise<string> {
    const reference = parseImageReference(image);
    const credentials = await this.#credentials(reference.domain, tenant);
    using own = tenant === undefined ? undefined : await this.#ofTenants.of(tenant);
    const fetcher = (own?.registries ?? this.#registries).fetchers(reference, credentials).at(-1)!;
    return (await fetcher.resolve(reference.tag ?? 'latest', { ...(signal && { signal }) })).digest;
  }
}

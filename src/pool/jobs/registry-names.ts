import type { Credentials } from '#distribution/authorizer.ts';
import type { Registries } from '#distribution/registries.ts';
import { parseImageReference, parseTag } from '#oci/reference.ts';
import type { Publication } from './job-queue.ts';
import type { Names } from './publisher.ts';

/** Of a registry: a tenant's, or the pool's own. */
type Accounts = (domain: string, tenant?: string) => Promise<Credentials | undefined>;

/** Gives names in registries that speak the Distribution API. */
export class RegistryNames implements Names {
  readonly #registries: Registries;
  readonly #credentials: Accounts;

  constructor(ports: {
    registries: Registries;
    credentials: Accounts;
  }) {
    this.#registries = ports.registries;
    this.#credentials = ports.credentials;
  }

  async give({ repository, digest, tags }: Publication, tenant: string | undefined): Promise<void> {
    if (tags.length === 0) return;
    const reference = parseImageReference(repository);
    const credentials = await this.#credentials(reference.domain, tenant);
    // The registry itself, not a mirror of it: what was just pushed is there.
    const fetcher = this.#registries.fetchers(reference, credentials).at(-1)!;
    const manifest = await fetcher.manifest(digest);
    const pusher = this.#registries.pusher(reference, credentials);
    for (const tag of tags) await pusher.putManifest(parseTag(tag), manifest);
  }
}

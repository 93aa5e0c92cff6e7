import { DEFAULT_DOMAIN, type ImageReference } from '#oci/reference.ts';
import type { Credentials } from './authorizer.ts';
import { Fetcher } from './fetcher.ts';
import type { HttpTransport } from './http-transport.ts';
import { logIn } from './login.ts';
import { Pusher } from './pusher.ts';
import type { RegistryHosts } from './registry-hosts.ts';
import { RepositoryClient } from './repository-client.ts';
import type { RetryOptions } from './retry.ts';
import { type SearchResult, searchRegistry } from './search.ts';

/** Docker Hub answers searches elsewhere than pulls. */
const HUB_INDEX = new URL('https://index.docker.io');

/** Clients for whatever repository a reference names. */
export class Registries {
  readonly #transport: HttpTransport;
  readonly #hosts: RegistryHosts;
  readonly #retry: RetryOptions;

  constructor(
    ports: { transport: HttpTransport; hosts: RegistryHosts },
    options: { retry?: RetryOptions } = {},
  ) {
    this.#transport = ports.transport;
    this.#hosts = ports.hosts;
    this.#retry = options.retry ?? {};
  }

  /** Where to pull from, best first: mirrors before the registry itself. A mirror gets no credentials: they are not its own. */
  fetchers(reference: ImageReference, credentials?: Credentials): Fetcher[] {
    const origins = this.#hosts.forPull(reference.domain);
    return origins.map((origin, i) => {
      const own = i === origins.length - 1;
      const client = new RepositoryClient(this.#transport, {
        origin,
        repository: reference.path,
        actions: 'pull',
        ...(own && credentials && { credentials }),
      });
      return new Fetcher(client, { retry: this.#retry });
    });
  }

  pusher(reference: ImageReference, credentials?: Credentials): Pusher {
    const client = new RepositoryClient(this.#transport, {
      origin: this.#hosts.forPush(reference.domain),
      repository: reference.path,
      actions: 'pull,push',
      ...(credentials && { credentials }),
    });
    return new Pusher(client, { retry: this.#retry });
  }

  /**
   * Searches a registry. What mirrors find stands for Docker Hub's own results, which is asked when they find nothing.
   * Throws `unavailable`.
   */
  async search(
    domain: string,
    term: string,
    options: { limit: number; credentials?: Credentials; signal?: AbortSignal },
  ): Promise<SearchResult[]> {
    const mirrors = domain === DEFAULT_DOMAIN ? this.#hosts.forPull(domain).slice(0, -1) : [];
    for (const origin of mirrors) {
      const { limit, signal } = options;
      const found = await searchRegistry(this.#transport, origin, { term, limit, signal }).catch(() => []);
      if (found.length > 0) return found;
    }
    const origin = domain === DEFAULT_DOMAIN ? HUB_INDEX : this.#hosts.forPush(domain);
    return await searchRegistry(this.#transport, origin, { term, ...options });
  }

  /** Tries credentials at a registry (`docker.io`, `127.0.0.1:5000`). Throws as `logIn`. */
  logIn(domain: string, credentials: Credentials, options: { signal?: AbortSignal } = {}): Promise<void> {
    return logIn(this.#transport, this.#hosts.forPush(domain), credentials, options);
  }
}

import type { LookupFunction } from 'node:net';
import { HttpTransport } from '#distribution/http-transport.ts';
import { Registries } from '#distribution/registries.ts';
import type { RegistryHosts } from '#distribution/registry-hosts.ts';
import { notFound } from '#errors/errors.ts';
import type { TargetPolicy } from '#webhooks/target-policy.ts';
import type { TenantAccessRepository } from '../tenants/tenant-access-repository.ts';
import { allowsRegistry, type TenantPolicy } from '../tenants/tenant-policy.ts';

/**
 * The registries that this process asks in the name of tenants: a tenant says which, so it gets no further than to the internet, and
 * to registries that the operator has named in its policy. That holds for redirects and for token servers, too.
 */
export class TenantRegistries {
  readonly #hosts: RegistryHosts;
  readonly #targets: TargetPolicy;
  readonly #access: Pick<TenantAccessRepository, 'identities'>;

  constructor(ports: {
    hosts: RegistryHosts;
    targets: TargetPolicy;
    access: Pick<TenantAccessRepository, 'identities'>;
  }) {
    this.#hosts = ports.hosts;
    this.#targets = ports.targets;
    this.#access = ports.access;
  }

  /** As of the tenant's policy now. To be disposed when that has been asked for. Throws `not-found`. */
  async of(tenant: string): Promise<Disposable & { readonly registries: Registries }> {
    const found = (await this.#access.identities([tenant])).get(tenant);
    if (!found) throw notFound(`there is no tenant '${tenant}'`);
    const { policy } = found;
    const targets = (url: URL) => {
      if (isNamed(policy, url)) return {};
      this.#targets.check(url.href);
      return { lookup: this.#targets.lookup as LookupFunction };
    };
    const transport = new HttpTransport({ targets });
    const registries = new Registries({ transport, hosts: this.#hosts });
    return { registries, [Symbol.dispose]: () => transport[Symbol.dispose]() };
  }
}

/** A policy that allows any registry names none. */
function isNamed(policy: TenantPolicy, { protocol, hostname, host, port }: URL): boolean {
  if (policy.registries === null) return false;
  const full = port === '' ? `${hostname}:${protocol === 'https:' ? 443 : 80}` : host;
  return allowsRegistry(policy, host) || allowsRegistry(policy, full);
}

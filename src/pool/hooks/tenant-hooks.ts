import { conflict, isKind, notFound } from '#errors/errors.ts';
import { ownName } from '../tenants/own-name.ts';
import type { TenantIdentity } from '../tenants/tenant-header.ts';
import type { Hooks } from './hooks.ts';
import type { JobHook } from './hooks-repository.ts';

/** What is done with hooks by those who ask for them, whoever they are. */
export type AskedHooks = Pick<Hooks, 'add' | 'list' | 'get' | 'remove'>;

/** So many a tenant may have. */
const MOST = 20;

/** The pool's hooks as one tenant's clients see them: those that they have made, which hear of what they have asked for. */
export class TenantHooks implements AskedHooks {
  readonly #hooks: Hooks;
  readonly #identity: () => TenantIdentity;

  constructor(hooks: Hooks, identity: () => TenantIdentity) {
    this.#hooks = hooks;
    this.#identity = identity;
  }

  /** Throws as that of `Hooks`, and `conflict` when they have too many. */
  async add(wanted: Parameters<Hooks['add']>[0]): ReturnType<Hooks['add']> {
    const tenant = ownName(this.#identity(), wanted.tenant);
    if ((await this.list(tenant)).length >= MOST) throw conflict(`a tenant may have ${MOST} hooks`);
    return await this.#hooks.add({ ...wanted, tenant, confined: true });
  }

  async list(tenant: string | undefined): Promise<JobHook[]> {
    return await this.#hooks.list(ownName(this.#identity(), tenant), { confined: true });
  }

  async get(id: string): Promise<JobHook> {
    const found = await this.#hooks.get(id).catch((error: unknown) => {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    });
    // As for what is not there: nobody learns what others have.
    if (!found?.confined || found.tenant !== this.#identity().name) throw notFound(`no such hook: ${id}`);
    return found;
  }

  async remove(id: string): Promise<void> {
    await this.#hooks.remove((await this.get(id)).id);
  }
}

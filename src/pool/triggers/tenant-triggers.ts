import { conflict, isKind, notFound } from '#errors/errors.ts';
import { ownName } from '../tenants/own-name.ts';
import type { TenantIdentity } from '../tenants/tenant-header.ts';
import type { Trigger } from './trigger.ts';
import type { Triggers, WantedTrigger } from './triggers.ts';

/** What is done with triggers by those who ask for them, whoever they are. */
export type AskedTriggers = Pick<Triggers, 'put' | 'list' | 'get' | 'remove'>;

/** So many a tenant may have. */
const MOST = 100;

/** The pool's triggers as one tenant's clients see them: those that they have made, and no others. */
export class TenantTriggers implements AskedTriggers {
  readonly #triggers: Triggers;
  readonly #identity: () => TenantIdentity;

  constructor(triggers: Triggers, identity: () => TenantIdentity) {
    this.#triggers = triggers;
    this.#identity = identity;
  }

  /** Throws as that of `Triggers`, and `conflict` when they have too many. */
  async put(
    tenant: string,
    name: string,
    wanted: WantedTrigger,
  ): Promise<{ trigger: Trigger; secret?: string }> {
    const own = ownName(this.#identity(), tenant);
    const others = (await this.list(own)).filter((trigger) => trigger.name !== name);
    if (others.length >= MOST) throw conflict(`a tenant may have ${MOST} triggers`);
    return await this.#triggers.put(own, name, wanted, { confined: true });
  }

  async list(tenant: string | undefined): Promise<Trigger[]> {
    return await this.#triggers.list(ownName(this.#identity(), tenant), { confined: true });
  }

  async get(tenant: string, name: string): Promise<Trigger> {
    const found = await this.#triggers
      .get(ownName(this.#identity(), tenant), name)
      .catch((error: unknown) => {
        if (isKind(error, 'not-found')) return undefined;
        throw error;
      });
    if (!found?.confined) throw notFound(`no such trigger: ${name}`);
    return found;
  }

  async remove(tenant: string, name: string): Promise<void> {
    const { tenant: own } = await this.get(tenant, name);
    await this.#triggers.remove(own, name);
  }
}

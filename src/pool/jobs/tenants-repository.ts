import type { PoolDatabase } from '#database/pool/open.ts';
import { notFound } from '#errors/errors.ts';

export interface Tenant {
  readonly name: string;
  /** Of two tenants with work that waits, one of weight 2 gets two starts for each of the other's. */
  readonly weight: number;
  /** How many of its jobs run at once; null for any number. */
  readonly maxRunning: number | null;
}

/** Who may use the pool. */
export class TenantsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  async list(): Promise<Tenant[]> {
    const rows = await this.#db
      .selectFrom('tenants')
      .select(['name', 'weight', 'max_running'])
      .where('removed_at', 'is', null)
      .orderBy('name')
      .execute();
    return rows.map(({ name, weight, max_running }) => ({ name, weight, maxRunning: max_running }));
  }

  /** Makes a tenant, or changes one. What it has queued keeps its turns. Throws `not-found` for one that was removed. */
  async put({ name, weight, maxRunning }: Tenant): Promise<void> {
    const settings = { weight, max_running: maxRunning };
    const { numInsertedOrUpdatedRows } = await this.#db
      .insertInto('tenants')
      .values({ name, ...settings })
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet(settings).where('tenants.removed_at', 'is', null),
      )
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 1n) return;
    throw notFound(`the tenant '${name}' was removed: its name is given again with slipway pool tenant-set`);
  }

  /** Makes a tenant that has nothing special about it, if it is not there. */
  async ensure(name: string): Promise<void> {
    await this.#db
      .insertInto('tenants')
      .values({ name, max_running: null })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { lockPresentTenant } from '../jobs/tenant-row.ts';
import type { TenantIdentity } from './tenant-header.ts';
import { parseTenantPolicy, type TenantPolicy } from './tenant-policy.ts';

export interface TenantMember {
  readonly tenant: string;
  readonly subject: string;
}

/** Which tenants there are, what they may, and who belongs to them. */
export class TenantAccessRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** The tenants that any of these subjects belongs to, by name. */
  async ofSubjects(subjects: readonly string[]): Promise<TenantIdentity[]> {
    if (subjects.length === 0) return [];
    const rows = await this.#present()
      .innerJoin('tenant_members', 'tenant_members.tenant', 'tenants.name')
      .distinct()
      .where('subject', 'in', subjects)
      .orderBy('tenants.name')
      .execute();
    return rows.map(identityOf);
  }

  /** Those of these names that there are. */
  async identities(names: readonly string[]): Promise<Map<string, TenantIdentity>> {
    if (names.length === 0) return new Map();
    const rows = await this.#present().where('tenants.name', 'in', names).execute();
    return new Map(rows.map((row) => [row.name, identityOf(row)]));
  }

  /** Who may have ports at gateways. */
  async withGatewayPorts(): Promise<TenantIdentity[]> {
    const rows = await this.#present().where('policy', 'is not', null).execute();
    return rows.map(identityOf).filter(({ policy }) => policy.gatewayPorts.length > 0);
  }

  async setPolicy(tenant: string, policy: TenantPolicy): Promise<void> {
    const text = JSON.stringify(policy);
    await this.#db
      .insertInto('tenant_policies')
      .values({ tenant, policy: text })
      .onConflict((conflict) => conflict.column('tenant').doUpdateSet({ policy: text }))
      .execute();
  }

  async members(): Promise<TenantMember[]> {
    return await this.#db
      .selectFrom('tenant_members')
      .select(['tenant', 'subject'])
      .orderBy('tenant')
      .orderBy('subject')
      .execute();
  }

  /** Throws `not-found` for a tenant that there is not. */
  async add({ tenant, subject }: TenantMember): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      await lockPresentTenant(trx, tenant);
      await trx
        .insertInto('tenant_members')
        .values({ tenant, subject, created_at: databaseNow(trx) })
        .onConflict((conflict) => conflict.columns(['subject', 'tenant']).doNothing())
        .execute();
    });
  }

  /** False for who was none. */
  async remove({ tenant, subject }: TenantMember): Promise<boolean> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('tenant_members')
      .where('tenant', '=', tenant)
      .where('subject', '=', subject)
      .executeTakeFirst();
    return numDeletedRows > 0n;
  }

  #present() {
    return this.#db
      .selectFrom('tenants')
      .leftJoin('tenant_policies', 'tenant_policies.tenant', 'tenants.name')
      .select(['tenants.name', 'tenants.generation', 'policy'])
      .where('removed_at', 'is', null);
  }
}

function identityOf(row: { name: string; generation: number; policy: string | null }): TenantIdentity {
  const generation = Number(row.generation);
  const policy = policyOf(row.policy);
  // Workers of before there were generations read what says nothing of them.
  return generation === 0 ? { name: row.name, policy } : { name: row.name, generation, policy };
}

function policyOf(text: string | null): TenantPolicy {
  return parseTenantPolicy(text === null ? {} : JSON.parse(text));
}

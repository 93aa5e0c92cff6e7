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
    const rows = await this.#db
      .selectFrom('tenant_members')
      .leftJoin('tenant_policies', 'tenant_policies.tenant', 'tenant_members.tenant')
      .select(['tenant_members.tenant as name', 'policy'])
      .distinct()
      .where('subject', 'in', subjects)
      .orderBy('tenant_members.tenant')
      .execute();
    return rows.map(({ name, policy }) => ({ name, policy: policyOf(policy) }));
  }

  /** The policies of these tenants, by name: those that nobody has set are `parseTenantPolicy({})`. */
  async policies(names: readonly string[]): Promise<Map<string, TenantPolicy>> {
    if (names.length === 0) return new Map();
    const rows = await this.#db
      .selectFrom('tenant_policies')
      .select(['tenant', 'policy'])
      .where('tenant', 'in', names)
      .execute();
    const known = new Map(rows.map(({ tenant, policy }) => [tenant, policy]));
    return new Map(names.map((name) => [name, policyOf(known.get(name) ?? null)]));
  }

  /** Who may have ports at gateways. */
  async withGatewayPorts(): Promise<TenantIdentity[]> {
    const rows = await this.#db.selectFrom('tenant_policies').select(['tenant', 'policy']).execute();
    return rows
      .map(({ tenant, policy }) => ({ name: tenant, policy: policyOf(policy) }))
      .filter(({ policy }) => policy.gatewayPorts.length > 0);
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
}

function policyOf(text: string | null): TenantPolicy {
  return parseTenantPolicy(text === null ? {} : JSON.parse(text));
}

import type { Selectable } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RegistrySchema } from '#database/registry/schema.ts';
import { inTransaction } from '#database/transaction.ts';
import { notFound } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import type { RecordChange } from '../record-change.ts';
import { removePrincipal, revokeTokens } from '../tokens/revocations-repository.ts';
import type { ClaimRules } from './claim-rules.ts';

/**
 * Whose tokens are taken for credentials, and of whom: those that an issuer made for this audience, with claims such
 * as these. Their bearers may do what was granted to `federated:<name>`.
 */
export interface TrustPolicy {
  readonly name: string;
  readonly issuer: string;
  readonly audience: string;
  readonly claims: ClaimRules;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly createdBy: string;
}

export class TrustPoliciesRepository {
  readonly #db: RegistryDatabase;
  readonly #record: RecordChange;

  constructor(ports: { db: RegistryDatabase; record: RecordChange }) {
    this.#db = ports.db;
    this.#record = ports.record;
  }

  /** By name. */
  async list(filter: { issuer?: string; name?: string | undefined } = {}): Promise<TrustPolicy[]> {
    let query = this.#db.selectFrom('trust_policies').selectAll().orderBy('name');
    if (filter.issuer !== undefined) query = query.where('issuer', '=', filter.issuer);
    if (filter.name !== undefined) query = query.where('name', '=', filter.name);
    return (await query.execute()).map(toPolicy);
  }

  /** In the place of one of that name, whose tokens are worth nothing any more. */
  async put(policy: Omit<TrustPolicy, 'createdAt' | 'createdBy'>, actor: Actor): Promise<void> {
    const { name, issuer, audience } = policy;
    const values = {
      issuer,
      audience,
      claims: JSON.stringify(policy.claims),
      created_at: Date.now(),
      created_by: actor.principal,
    };
    await inTransaction(this.#db, async (trx) => {
      await trx
        .insertInto('trust_policies')
        .values({ name, ...values })
        .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
        .execute();
      await revokeTokens(trx, `federated:${name}`);
      const detail = { policy: name, issuer, audience, claims: policy.claims };
      await this.#record(trx, actor, [{ action: 'trust.put', detail }]);
    });
  }

  /** Throws `not-found`. Its grants go along. */
  async remove(name: string, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const { numDeletedRows } = await trx
        .deleteFrom('trust_policies')
        .where('name', '=', name)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw unknownTrustPolicy(name);
      await removePrincipal(trx, `federated:${name}`);
      await this.#record(trx, actor, [{ action: 'trust.delete', detail: { policy: name } }]);
    });
  }
}

export function unknownTrustPolicy(name: string) {
  return notFound(`there is no trust policy '${name}'`);
}

function toPolicy(row: Selectable<RegistrySchema['trust_policies']>): TrustPolicy {
  return {
    name: row.name,
    issuer: row.issuer,
    audience: row.audience,
    claims: JSON.parse(row.claims) as ClaimRules,
    createdAt: row.created_at,
    createdBy: row.created_by,
  };
}

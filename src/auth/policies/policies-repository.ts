import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { notFound } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import { outdate, versionOf } from '../auth-versions-repository.ts';
import type { RecordChange } from '../record-change.ts';
import type { Grant, GrantAction, Permission } from './grant.ts';
import type { NamespacePattern } from './pattern.ts';
import type { Subject } from './subject.ts';

/** All that decides who may do what, as every process keeps it. */
export interface PolicyRows {
  readonly grants: readonly Grant[];
  readonly members: readonly { readonly group: string; readonly member: string }[];
  readonly revocations: readonly { readonly principal: string; readonly issuedBefore: number }[];
}

export class PoliciesRepository {
  readonly #db: RegistryDatabase;
  readonly #record: RecordChange;

  constructor(ports: { db: RegistryDatabase; record: RecordChange }) {
    this.#db = ports.db;
    this.#record = ports.record;
  }

  async version(): Promise<number> {
    return await versionOf(this.#db, 'policies');
  }

  async load(): Promise<PolicyRows> {
    const members = await this.#db.selectFrom('group_members').select(['group_name', 'member']).execute();
    const revocations = await this.#db.selectFrom('revocations').selectAll().execute();
    return {
      grants: await this.list({}),
      members: members.map((row) => ({ group: row.group_name, member: row.member })),
      revocations: revocations.map((row) => ({ principal: row.principal, issuedBefore: row.issued_before })),
    };
  }

  async list(filter: { subject?: Subject | undefined }): Promise<Grant[]> {
    let query = this.#db.selectFrom('grants').selectAll().orderBy('subject').orderBy('pattern');
    if (filter.subject !== undefined) query = query.where('subject', '=', filter.subject);
    return (await query.execute()).map((row) => ({
      subject: row.subject as Subject,
      pattern: row.pattern as NamespacePattern,
      actions: row.actions.split(' ') as GrantAction[],
      createdAt: row.created_at,
      createdBy: row.created_by,
    }));
  }

  /** Throws `not-found` for a user, robot or trust policy that there is not. */
  async put(grant: Permission & { subject: Subject }, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      await expectSubject(trx, grant.subject);
      await putGrant(trx, grant, actor);
      const { subject, pattern, actions } = grant;
      await this.#record(trx, actor, [{ action: 'grant.put', detail: { subject, pattern, actions } }]);
    });
  }

  /** Throws `not-found`. */
  async remove(grant: { subject: Subject; pattern: string }, actor: Actor): Promise<void> {
    const { subject, pattern } = grant;
    await inTransaction(this.#db, async (trx) => {
      const { numDeletedRows } = await trx
        .deleteFrom('grants')
        .where('subject', '=', subject)
        .where('pattern', '=', pattern)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw notFound(`${subject} has no grant on ${pattern}`);
      await outdate(trx, 'policies');
      await this.#record(trx, actor, [{ action: 'grant.delete', detail: { subject, pattern } }]);
    });
  }
}

/** Grants, in the place of what the subject had on the pattern. */
export async function putGrant(
  trx: RegistryDatabase,
  grant: Permission & { subject: Subject },
  actor: Actor,
): Promise<void> {
  const values = { actions: grant.actions.join(' '), created_at: Date.now(), created_by: actor.principal };
  await trx
    .insertInto('grants')
    .values({ subject: grant.subject, pattern: grant.pattern, ...values })
    .onConflict((conflict) => conflict.columns(['subject', 'pattern']).doUpdateSet(values))
    .execute();
  await outdate(trx, 'policies');
}

const TABLES = { user: 'users', robot: 'robots', federated: 'trust_policies' } as const;

async function expectSubject(trx: RegistryDatabase, subject: Subject): Promise<void> {
  const [kind, name] = subject.split(':');
  if (name === undefined || kind === 'group') return;
  const table = TABLES[kind as keyof typeof TABLES];
  const found = await trx.selectFrom(table).select('name').where('name', '=', name).executeTakeFirst();
  if (!found) throw notFound(`there is no ${subject}`);
}

import type { Selectable } from 'kysely';
import { covers } from '#auth/policies/pattern.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RegistrySchema } from '#database/registry/schema.ts';
import { inTransaction } from '#database/transaction.ts';
import { invalid, notFound } from '#errors/errors.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import type { RetentionRule } from './retention-rule.ts';

export type NewRetentionRule = Omit<RetentionRule, 'id'>;

/** What is to be kept, by rule. */
export class RetentionRulesRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async list(): Promise<RetentionRule[]> {
    const rows = await this.#db.selectFrom('retention_rules').selectAll().orderBy('id').execute();
    return rows.map(toRule);
  }

  /** Throws `invalid` for a rule that does not say what it keeps. */
  async add(rule: NewRetentionRule, actor: Actor): Promise<RetentionRule> {
    requireKeeping(rule);
    return await inTransaction(this.#db, async (trx) => {
      const row = await trx
        .insertInto('retention_rules')
        .values({
          repositories: rule.repositories,
          subject: rule.subject,
          tags: rule.tags,
          keep_newest: rule.keepNewest ?? null,
          keep_pushed_within: rule.keepPushedWithin ?? null,
          keep_pulled_within: rule.keepPulledWithin ?? null,
          created_at: Date.now(),
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      const added = toRule(row);
      await recordEvents(trx, actor, [{ action: 'retention.add', detail: { ...added } }]);
      return added;
    });
  }

  /** Throws `not-found`. */
  async remove(id: number, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const row = await trx
        .deleteFrom('retention_rules')
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirst();
      if (!row) throw notFound(`no retention rule ${id}`);
      await recordEvents(trx, actor, [{ action: 'retention.remove', detail: { ...toRule(row) } }]);
    });
  }
}

/** A rule that says nothing of what it keeps is more likely a slip than a wish to delete everything. */
function requireKeeping({ keepNewest, keepPushedWithin, keepPulledWithin }: NewRetentionRule): void {
  if ([keepNewest, keepPushedWithin, keepPulledWithin].some((keeps) => keeps !== undefined)) return;
  throw invalid(
    'a retention rule has to say what it keeps: the newest, those pushed or those pulled of late',
  );
}

export function rulesFor(
  rules: readonly RetentionRule[],
  subject: RetentionRule['subject'],
  repository: string,
): RetentionRule[] {
  return rules.filter((rule) => rule.subject === subject && covers(rule.repositories, repository));
}

function toRule(row: Selectable<RegistrySchema['retention_rules']>): RetentionRule {
  return {
    id: row.id,
    repositories: row.repositories,
    subject: row.subject,
    tags: row.tags,
    keepNewest: row.keep_newest ?? undefined,
    keepPushedWithin: row.keep_pushed_within ?? undefined,
    keepPulledWithin: row.keep_pulled_within ?? undefined,
  };
}

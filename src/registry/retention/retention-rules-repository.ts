import type { Selectable } from 'kysely';
import { covers } from '#auth/policies/pattern.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RegistrySchema } from '#database/registry/schema.ts';
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

  async add(rule: NewRetentionRule): Promise<RetentionRule> {
    const row = await this.#db
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
    return toRule(row);
  }

  /** False when there was none. */
  async remove(id: number): Promise<boolean> {
    const result = await this.#db.deleteFrom('retention_rules').where('id', '=', id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
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

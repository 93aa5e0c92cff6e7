import type { Generated } from 'kysely';

/** What is kept, by rule. */
export interface RetentionSchema {
  retention_rules: RetentionRulesTable;
  immutable_tags: ImmutableTagsTable;
}

/** A tag or untagged manifest that a rule is about goes, unless one of the rules about it keeps it. */
interface RetentionRulesTable {
  id: Generated<number>;
  /** A pattern of repositories' names. */
  repositories: string;
  subject: 'tagged' | 'untagged';
  /** A pattern of tags; `**` for untagged manifests. */
  tags: string;
  keep_newest: number | null;
  /** In milliseconds. */
  keep_pushed_within: number | null;
  /** In milliseconds. */
  keep_pulled_within: number | null;
  created_at: number;
}

/** Tags that stay what they are once they are pushed. */
interface ImmutableTagsTable {
  id: Generated<number>;
  repositories: string;
  tags: string;
  created_at: number;
}

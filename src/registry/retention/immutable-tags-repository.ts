import { covers, type NamespacePattern } from '#auth/policies/pattern.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, notFound } from '#errors/errors.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { matchesTag, type TagPattern } from './tag-pattern.ts';

export interface ImmutableTags {
  readonly id: number;
  /** A pattern of repositories' names. */
  readonly repositories: string;
  readonly tags: string;
}

/** The patterns of tags of a repository that stay what they are once they are pushed. */
export async function immutablePatterns(db: RegistryDatabase, repository: RepositoryName): Promise<string[]> {
  const rows = await db.selectFrom('immutable_tags').select(['repositories', 'tags']).execute();
  return rows.filter((row) => covers(row.repositories, repository)).map((row) => row.tags);
}

/** Throws `conflict` when one of `tags`, all of which are there, is to stay as it is. */
export async function requireMutable(
  trx: RegistryDatabase,
  repository: RepositoryName,
  tags: readonly string[],
): Promise<void> {
  if (tags.length === 0) return;
  const patterns = await immutablePatterns(trx, repository);
  const fixed = tags.find((tag) => patterns.some((pattern) => matchesTag(pattern, tag)));
  if (fixed === undefined) return;
  throw conflict(`tag ${fixed} of ${repository} is immutable: it was pushed already and stays as it is`, {
    code: 'DENIED',
    detail: { repository, tag: fixed },
  });
}

/** Which tags are immutable. */
export class ImmutableTagsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async list(): Promise<ImmutableTags[]> {
    return await this.#db
      .selectFrom('immutable_tags')
      .select(['id', 'repositories', 'tags'])
      .orderBy('repositories')
      .orderBy('tags')
      .execute();
  }

  /** Throws `conflict` when there is such a rule. */
  async add(repositories: NamespacePattern, tags: TagPattern, actor: Actor): Promise<ImmutableTags> {
    return await inTransaction(this.#db, async (trx) => {
      const added = await trx
        .insertInto('immutable_tags')
        .values({ repositories, tags, created_at: Date.now() })
        .onConflict((conflicting) => conflicting.columns(['repositories', 'tags']).doNothing())
        .returning(['id', 'repositories', 'tags'])
        .executeTakeFirst();
      if (!added) throw conflict(`${tags} of ${repositories} are immutable already`);
      await recordEvents(trx, actor, [{ action: 'immutable.add', detail: { ...added } }]);
      return added;
    });
  }

  /** Throws `not-found`. */
  async remove(id: number, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const removed = await trx
        .deleteFrom('immutable_tags')
        .where('id', '=', id)
        .returning(['id', 'repositories', 'tags'])
        .executeTakeFirst();
      if (!removed) throw notFound(`no rule ${id} for immutable tags`);
      await recordEvents(trx, actor, [{ action: 'immutable.remove', detail: { ...removed } }]);
    });
  }
}

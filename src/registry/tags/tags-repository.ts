import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { findRepository } from '../repositories/repositories-repository.ts';
import { requireMutable } from '../retention/immutable-tags-repository.ts';

export class TagsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Up to `limit` tags in lexical order, after `last`; undefined when there is no such repository. */
  async list(repository: RepositoryName, limit: number, last = ''): Promise<string[] | undefined> {
    const id = await findRepository(this.#db, repository);
    if (id === undefined) return undefined;
    const rows = await this.#db
      .selectFrom('tags')
      .select('name')
      .where('repository_id', '=', id)
      .where('name', '>', last)
      .orderBy('name')
      .limit(limit)
      .execute();
    return rows.map((row) => row.name);
  }

  /**
   * Removes a tag, not what it names; false when it was not there. Throws `conflict` when it is immutable, unless
   * that is not to matter.
   */
  async delete(
    repository: RepositoryName,
    tag: Tag,
    actor: Actor,
    options: { evenImmutable?: boolean } = {},
  ): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const result = await trx
        .deleteFrom('tags')
        .where('name', '=', tag)
        .where('repository_id', '=', (from) =>
          from.selectFrom('repositories').select('id').where('name', '=', repository),
        )
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) return false;
      if (!options.evenImmutable) await requireMutable(trx, repository, [tag]);
      await recordEvents(trx, actor, [{ action: 'tag.delete', repository, tag }]);
      return true;
    });
  }
}

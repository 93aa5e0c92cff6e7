import { jsonList } from '#database/dialect.ts';
import { statement } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { findRepository } from '../repositories/repositories-repository.ts';
import { requireMutable } from '../retention/immutable-tags-repository.ts';

const selectNames = statement<
  RegistryDatabase,
  { repository: number; last: string; limit: number },
  { names: string }
>((db, parameter) =>
  db
    .selectFrom(
      db
        .selectFrom('tags')
        .select('name')
        .where('repository_id', '=', parameter('repository'))
        .where('name', '>', parameter('last'))
        .orderBy('name')
        .limit(parameter('limit'))
        .as('page'),
    )
    .select(jsonList(db, 'name').as('names')),
);

export class TagsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Up to `limit` tags in lexical order, after `last`; undefined when there is no such repository. */
  async list(repository: RepositoryName, limit: number, last = ''): Promise<string[] | undefined> {
    const id = await findRepository(this.#db, repository);
    if (id === undefined) return undefined;
    const { rows } = await selectNames(this.#db, { repository: id, last, limit });
    return JSON.parse(rows[0]!.names);
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

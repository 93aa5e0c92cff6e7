import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { findRepository } from '../repositories/repositories-repository.ts';

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

  /** Removes a tag, not what it names; false when it was not there. */
  async delete(repository: RepositoryName, tag: Tag, actor: Actor): Promise<boolean> {
    return await this.#db.transaction().execute(async (trx) => {
      const result = await trx
        .deleteFrom('tags')
        .where('name', '=', tag)
        .where('repository_id', '=', (from) =>
          from.selectFrom('repositories').select('id').where('name', '=', repository),
        )
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) return false;
      await recordEvents(trx, actor, [{ action: 'tag.delete', repository, tag }]);
      return true;
    });
  }
}

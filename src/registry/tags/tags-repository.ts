import { sql } from 'kysely';
import { jsonList } from '#database/dialect.ts';
import { statement } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { findRepository } from '../repositories/repositories-repository.ts';
import { requireMutable } from '../retention/immutable-tags-repository.ts';

/** A page of names, and those at its end and right after it; both as JSON. */
const selectPage = statement<
  RegistryDatabase,
  { repository: number; last: string; limit: number; end: number },
  { names: string; edge: string }
>((db, parameter) => {
  const names = db
    .selectFrom('tags')
    .select('name')
    .where('repository_id', '=', parameter('repository'))
    .where('name', '>', parameter('last'))
    .orderBy('name');
  const edge = names.limit(sql.lit(2)).offset(parameter('end')).as('edge');
  // A bare parameter would have SQLite plan the query anew each time.
  const limit = sql<number>`cast(${parameter('limit')} as bigint)`;
  return db
    .selectFrom(names.limit(limit).as('page'))
    .select([
      jsonList(db, 'page.name').as('names'),
      db.selectFrom(edge).select(jsonList(db, 'edge.name').as('names')).as('edge'),
    ])
    .$castTo<{ names: string; edge: string }>();
});

/** A part of a repository's tags. */
export interface TagPage {
  /** In lexical order, as a JSON list: it goes to clients as it is. */
  readonly names: string;
  /** The last one of them, if there are more. */
  readonly last: string | undefined;
}

export class TagsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Up to `limit` tags after `last`; undefined when there is no such repository. */
  async page(repository: RepositoryName, limit: number, last = ''): Promise<TagPage | undefined> {
    const id = await findRepository(this.#db, repository);
    if (id === undefined) return undefined;
    const end = Math.max(limit - 1, 0);
    const { rows } = await selectPage(this.#db, { repository: id, last, limit, end });
    const { names, edge } = rows[0]!;
    const [lastOfPage, next] = JSON.parse(edge);
    return { names, last: limit > 0 && next !== undefined ? lastOfPage : undefined };
  }

  /** The names of such a page. */
  async list(repository: RepositoryName, limit: number, last = ''): Promise<string[] | undefined> {
    const page = await this.page(repository, limit, last);
    return page && JSON.parse(page.names);
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

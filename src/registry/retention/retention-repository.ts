import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { SYSTEM } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';

export interface TagFacts {
  readonly name: string;
  readonly manifest: string;
  /** Times in milliseconds since 1970. */
  readonly pushedAt: number;
  readonly pulledAt: number | undefined;
  /** What an upstream says, not what was pushed. */
  readonly mirrored: boolean;
}

export interface NamedRepository {
  readonly id: number;
  readonly name: string;
}

/** What retention rules are about: tags, by age, and untagged manifests. */
export class RetentionRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Up to `limit` repositories by name, after `last`. */
  async repositories(limit: number, last = ''): Promise<NamedRepository[]> {
    return await this.#db
      .selectFrom('repositories')
      .select(['id', 'name'])
      .where('name', '>', last)
      .orderBy('name')
      .limit(limit)
      .execute();
  }

  /** Up to `limit` tags, those pushed last first, after `last`. */
  async tagsByAge(
    repository: number,
    limit: number,
    last?: { pushedAt: number; name: string },
  ): Promise<TagFacts[]> {
    let query = this.#db
      .selectFrom('tags')
      .leftJoin('pulls', (join) =>
        join
          .onRef('pulls.repository_id', '=', 'tags.repository_id')
          .on('pulls.kind', '=', 'tag')
          .onRef('pulls.reference', '=', 'tags.name'),
      )
      .leftJoin('mirrored_tags as mirrored', (join) =>
        join
          .onRef('mirrored.repository_id', '=', 'tags.repository_id')
          .onRef('mirrored.name', '=', 'tags.name')
          .onRef('mirrored.manifest', '=', 'tags.manifest'),
      )
      .select([
        'tags.name',
        'tags.manifest',
        'tags.updated_at as pushedAt',
        'pulls.last_pulled_at as pulledAt',
        'mirrored.name as mirrored',
      ])
      .where('tags.repository_id', '=', repository)
      .orderBy('tags.updated_at', 'desc')
      .orderBy('tags.name', 'desc')
      .limit(limit);
    if (last) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('tags.updated_at', 'tags.name'), '<', tuple(last.pushedAt, last.name)),
      );
    }
    const rows = await query.execute();
    return rows.map((row) => ({
      ...row,
      pulledAt: row.pulledAt ?? undefined,
      mirrored: row.mirrored !== null,
    }));
  }

  /** Deletes tags, but none that was pushed again since it was looked at. Returns how many. */
  async deleteTags(
    { id, name: repository }: NamedRepository,
    tags: readonly { name: string; pushedAt: number; why: string }[],
  ): Promise<number> {
    const whys = new Map(tags.map(({ name, why }) => [name, why]));
    return await inTransaction(this.#db, async (trx) => {
      const gone = await trx
        .deleteFrom('tags')
        .where('repository_id', '=', id)
        .where(({ eb, and, or }) =>
          or(tags.map((tag) => and([eb('name', '=', tag.name), eb('updated_at', '=', tag.pushedAt)]))),
        )
        .returning('name')
        .execute();
      const events = gone.map(({ name: tag }) => ({
        action: 'tag.delete' as const,
        repository,
        tag,
        detail: { reason: 'retention', why: whys.get(tag) },
      }));
      await recordEvents(trx, SYSTEM, events);
      return gone.length;
    });
  }

  /** Has the collector look at the untagged manifests of a repository, by rules that may be new. Returns how many. */
  async reviewUntagged({ id }: NamedRepository): Promise<number> {
    // Pushes put manifests on the queue in an order of theirs: one may be in the other's way.
    const result = await inTransaction(this.#db, (trx) =>
      trx
        .insertInto('gc_manifest_queue')
        .columns(['repository_id', 'digest', 'review_after'])
        .expression((eb) =>
          eb
            .selectFrom('manifests as m')
            .select(['m.repository_id', 'm.digest', databaseNow(trx).as('review_after')])
            .where('m.repository_id', '=', id)
            .where(({ not, exists, selectFrom }) =>
              not(
                exists(
                  selectFrom('tags as t')
                    .select(sql`1`.as('one'))
                    .whereRef('t.repository_id', '=', 'm.repository_id')
                    .whereRef('t.manifest', '=', 'm.digest'),
                ),
              ),
            )
            .orderBy('m.digest'),
        )
        .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
        .executeTakeFirst(),
    );
    return Number(result.numInsertedOrUpdatedRows ?? 0);
  }
}

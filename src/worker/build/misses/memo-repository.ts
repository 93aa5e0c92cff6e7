import type { Kysely } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';

/** Of all projects; those noted first go. */
const MAX_MEMOS = 20_000;
/** A statement takes no more variables than that. */
const AT_ONCE = 200;

/** The rows of what steps were when they were last done. */
export class MemoRepository {
  readonly #db: Kysely<BuildTables>;

  constructor(db: Kysely<BuildTables>) {
    this.#db = db;
  }

  /** By place. */
  async find(project: string): Promise<Map<string, string>> {
    const rows = await this.#db
      .selectFrom('build_step_memos')
      .select(['place', 'memo'])
      .where('project', '=', project)
      .execute();
    return new Map(rows.map(({ place, memo }) => [place, memo]));
  }

  /** In place of what was noted before. */
  async save(
    project: string,
    memos: readonly (readonly [place: string, memo: string])[],
    at: Date,
  ): Promise<void> {
    const noted_at = at.toISOString();
    await this.#db.transaction().execute(async (trx) => {
      for (let from = 0; from < memos.length; from += AT_ONCE) {
        const rows = memos
          .slice(from, from + AT_ONCE)
          .map(([place, memo]) => ({ project, place, memo, noted_at }));
        await trx.replaceInto('build_step_memos').values(rows).execute();
      }
      const oldest = await trx
        .selectFrom('build_step_memos')
        .select('noted_at')
        .orderBy('noted_at', 'desc')
        .offset(MAX_MEMOS)
        .limit(1)
        .executeTakeFirst();
      if (!oldest) return;
      await trx.deleteFrom('build_step_memos').where('noted_at', '<=', oldest.noted_at).execute();
    });
  }
}

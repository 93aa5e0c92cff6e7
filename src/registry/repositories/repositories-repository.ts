import type { Access } from '#auth/access.ts';
import { statement } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RepositoryName } from '#oci/reference.ts';

/** Names are looked through in steps of at least this many. */
const PAGE = 200;

/** The names that something was pushed to. */
export class RepositoriesRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async exists(name: RepositoryName): Promise<boolean> {
    return (await findRepository(this.#db, name)) !== undefined;
  }

  /**
   * Up to `limit` names in lexical order, after `last`: of repositories that have a manifest, and that the access
   * may see.
   */
  async list(options: { limit: number; last?: string | undefined; access: Access }): Promise<string[]> {
    const { limit, access } = options;
    const found: string[] = [];
    for (let last = options.last ?? ''; found.length < limit; ) {
      const names = await this.#page(Math.max(limit, PAGE), last);
      found.push(...names.filter((name) => access.sees(name as RepositoryName)));
      if (names.length < Math.max(limit, PAGE)) break;
      last = names.at(-1)!;
    }
    return found.slice(0, limit);
  }

  async #page(limit: number, last: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('repositories')
      .select('name')
      .where('name', '>', last)
      .where(({ exists, selectFrom }) =>
        exists(selectFrom('manifests').select('digest').whereRef('repository_id', '=', 'repositories.id')),
      )
      .orderBy('name')
      .limit(limit)
      .execute();
    return rows.map((row) => row.name);
  }
}

const selectId = statement<RegistryDatabase, { name: string }, { id: number }>((db, parameter) =>
  db.selectFrom('repositories').select('id').where('name', '=', parameter('name')),
);

/** A repository's id, if anything was pushed to it. */
export async function findRepository(
  db: RegistryDatabase,
  name: RepositoryName,
): Promise<number | undefined> {
  const { rows } = await selectId(db, { name });
  return rows[0]?.id;
}

/** A repository's id; it comes into being with the first thing that is stored in it. */
export async function ensureRepository(
  db: RegistryDatabase,
  name: RepositoryName,
  now: number,
): Promise<number> {
  const found = await findRepository(db, name);
  if (found !== undefined) return found;
  await db
    .insertInto('repositories')
    .values({ name, created_at: now })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  return (await findRepository(db, name))!;
}

import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RepositoryName } from '#oci/reference.ts';

/** The names that something was pushed to. */
export class RepositoriesRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async exists(name: RepositoryName): Promise<boolean> {
    return (await findRepository(this.#db, name)) !== undefined;
  }

  /** Up to `limit` names in lexical order, after `last`; only of repositories that have a manifest. */
  async list(limit: number, last = ''): Promise<string[]> {
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

/** A repository's id, if anything was pushed to it. */
export async function findRepository(
  db: RegistryDatabase,
  name: RepositoryName,
): Promise<number | undefined> {
  const row = await db.selectFrom('repositories').select('id').where('name', '=', name).executeTakeFirst();
  return row?.id;
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

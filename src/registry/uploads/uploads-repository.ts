import type { RegistryDatabase } from '#database/registry/open.ts';
import type { DigestAlgorithm } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';

/** An upload under way. How far it got is what the content store says of its location. */
export interface Upload {
  readonly id: string;
  readonly repository: RepositoryName;
  readonly location: string;
  /** What it will probably be asked for at the end. */
  readonly algorithm: DigestAlgorithm;
}

export class UploadsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async add(upload: Upload): Promise<void> {
    await this.#db
      .insertInto('uploads')
      .values({ ...upload, created_at: Date.now() })
      .execute();
  }

  async find(repository: RepositoryName, id: string): Promise<Upload | undefined> {
    const row = await this.#db
      .selectFrom('uploads')
      .select(['id', 'location', 'algorithm'])
      .where('id', '=', id)
      .where('repository', '=', repository)
      .executeTakeFirst();
    return row && { ...row, repository };
  }

  async remove(id: string): Promise<void> {
    await this.#db.deleteFrom('uploads').where('id', '=', id).execute();
  }

  /** The uploads that write to these locations, by location. */
  async byLocation(locations: readonly string[]): Promise<Map<string, string>> {
    const rows = await this.#db
      .selectFrom('uploads')
      .select(['id', 'location'])
      .where('location', 'in', locations)
      .execute();
    return new Map(rows.map((row) => [row.location, row.id]));
  }

  /** Up to `limit` uploads that began before `before`, by id, after `last`. */
  async startedBefore(before: Date, limit: number, last = ''): Promise<{ id: string; location: string }[]> {
    return await this.#db
      .selectFrom('uploads')
      .select(['id', 'location'])
      .where('created_at', '<', before.getTime())
      .where('id', '>', last)
      .orderBy('id')
      .limit(limit)
      .execute();
  }
}

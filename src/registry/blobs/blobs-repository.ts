import { type PreparedQuery, prepare } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { ensureRepository } from '../repositories/repositories-repository.ts';

/** A blob's size in bytes and where its content is. */
export interface StoredBlob {
  readonly size: number;
  readonly location: string;
}

/** Which digests are stored where, and which repositories may see them. */
export class BlobsRepository {
  readonly #db: RegistryDatabase;
  readonly #visible: PreparedQuery<{ repository: string; digest: string }, StoredBlob>;

  constructor(db: RegistryDatabase) {
    this.#db = db;
    this.#visible = prepare(db, (parameter) =>
      db
        .selectFrom('repositories')
        .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
        .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
        .select(['blobs.size', 'blobs.location'])
        .where('repositories.name', '=', parameter('repository'))
        .where('repository_blobs.digest', '=', parameter('digest')),
    );
  }

  /** A blob that the repository may see. */
  async find(repository: RepositoryName, digest: Digest): Promise<StoredBlob | undefined> {
    return (await this.#visible({ repository, digest }))[0];
  }

  /** A blob, whoever may see it. */
  async findAnywhere(digest: Digest): Promise<StoredBlob | undefined> {
    return await this.#db
      .selectFrom('blobs')
      .select(['size', 'location'])
      .where('digest', '=', digest)
      .executeTakeFirst();
  }

  /**
   * Makes a blob visible in a repository and ends its upload, in one step. A digest that is already stored keeps
   * its location; the one that holds from now on is returned.
   */
  async publish(
    blob: {
      repository: RepositoryName;
      digest: Digest;
      size: number;
      location: string;
      upload?: string | undefined;
    },
    actor: Actor,
  ): Promise<string> {
    const now = Date.now();
    return await this.#db.transaction().execute(async (trx) => {
      const inserted = await trx
        .insertInto('blobs')
        .values({ digest: blob.digest, size: blob.size, location: blob.location, created_at: now })
        .onConflict((conflict) => conflict.column('digest').doNothing())
        .executeTakeFirst();
      await link(trx, blob.repository, blob.digest, now);
      const { repository, digest, size } = blob;
      await recordEvents(trx, actor, [{ action: 'blob.push', repository, digest, size }]);
      if (blob.upload !== undefined) await trx.deleteFrom('uploads').where('id', '=', blob.upload).execute();
      if (inserted.numInsertedOrUpdatedRows === 1n) return blob.location;
      const row = await trx
        .selectFrom('blobs')
        .select('location')
        .where('digest', '=', blob.digest)
        .executeTakeFirstOrThrow();
      return row.location;
    });
  }

  /** Gives a digest another location: its content was found to be gone and was pushed again. */
  async relocate(digest: Digest, from: string, to: string): Promise<void> {
    await this.#db
      .updateTable('blobs')
      .set({ location: to })
      .where('digest', '=', digest)
      .where('location', '=', from)
      .execute();
  }

  /** The repositories that may see a blob, by name; at most `limit`. `only` looks at one alone. */
  async seenBy(
    digest: Digest,
    options: { only?: RepositoryName | undefined; limit: number },
  ): Promise<string[]> {
    let query = this.#db
      .selectFrom('repository_blobs')
      .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
      .select('repositories.name')
      .where('repository_blobs.digest', '=', digest)
      .limit(options.limit);
    if (options.only !== undefined) query = query.where('repositories.name', '=', options.only);
    return (await query.execute()).map((row) => row.name);
  }

  /** Makes a blob that `from` may see visible in `repository`; false when `from` cannot see it (any more). */
  async mount(
    mount: { repository: RepositoryName; digest: Digest; from: RepositoryName },
    actor: Actor,
  ): Promise<boolean> {
    const { repository, digest, from } = mount;
    return await this.#db.transaction().execute(async (trx) => {
      const source = await trx
        .selectFrom('repository_blobs')
        .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
        .select('digest')
        .where('repositories.name', '=', from)
        .where('digest', '=', digest)
        .executeTakeFirst();
      if (!source) return false;
      await link(trx, repository, digest, Date.now());
      await recordEvents(trx, actor, [{ action: 'blob.mount', repository, digest, detail: { from } }]);
      return true;
    });
  }

  /** Hides a blob from a repository; false when it could not see it. The content stays for whoever else may. */
  async unlink(repository: RepositoryName, digest: Digest, actor: Actor): Promise<boolean> {
    return await this.#db.transaction().execute(async (trx) => {
      const result = await trx
        .deleteFrom('repository_blobs')
        .where('digest', '=', digest)
        .where('repository_id', '=', (from) =>
          from.selectFrom('repositories').select('id').where('name', '=', repository),
        )
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) return false;
      await recordEvents(trx, actor, [{ action: 'blob.delete', repository, digest }]);
      return true;
    });
  }

  /** Those of `locations` that belong to a blob or to an upload. */
  async ownedLocations(locations: readonly string[]): Promise<Set<string>> {
    const rows = await this.#db
      .selectFrom('blobs')
      .select('location')
      .where('location', 'in', locations)
      .union(this.#db.selectFrom('uploads').select('location').where('location', 'in', locations))
      .execute();
    return new Set(rows.map((row) => row.location));
  }
}

async function link(
  trx: RegistryDatabase,
  repository: RepositoryName,
  digest: Digest,
  now: number,
): Promise<void> {
  await trx
    .insertInto('repository_blobs')
    .values({ repository_id: await ensureRepository(trx, repository, now), digest, created_at: now })
    .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
    .execute();
}

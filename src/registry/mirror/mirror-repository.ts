import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';

/** A tag of a repository that is pulled through. */
export interface MirroredTag {
  readonly manifest: Digest;
  /** Whether its manifest came from upstream; else somebody pushed it here. */
  readonly fetched: boolean;
  /** When upstream last said that the tag stands for this manifest; 0 for never. */
  readonly checkedAt: number;
}

/** What came from upstream, and when. */
export class MirrorRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async tag(repository: RepositoryName, tag: Tag): Promise<MirroredTag | undefined> {
    const row = await this.#db
      .selectFrom('repositories')
      .innerJoin('tags', 'tags.repository_id', 'repositories.id')
      .leftJoin('mirrored_manifests', (join) =>
        join
          .onRef('mirrored_manifests.repository_id', '=', 'tags.repository_id')
          .onRef('mirrored_manifests.digest', '=', 'tags.manifest'),
      )
      .leftJoin('mirrored_tags', (join) =>
        join
          .onRef('mirrored_tags.repository_id', '=', 'tags.repository_id')
          .onRef('mirrored_tags.name', '=', 'tags.name')
          .onRef('mirrored_tags.manifest', '=', 'tags.manifest'),
      )
      .select(['tags.manifest', 'mirrored_manifests.fetched_at', 'mirrored_tags.checked_at'])
      .where('repositories.name', '=', repository)
      .where('tags.name', '=', tag)
      .executeTakeFirst();
    if (!row) return undefined;
    const { manifest, fetched_at, checked_at } = row;
    return { manifest: manifest as Digest, fetched: fetched_at !== null, checkedAt: checked_at ?? 0 };
  }

  /** Records that a manifest came from upstream. */
  async addManifest(repository: RepositoryName, digest: Digest): Promise<void> {
    const now = Date.now();
    await this.#db
      .insertInto('mirrored_manifests')
      .columns(['repository_id', 'digest', 'fetched_at'])
      .expression(
        this.#db
          .selectFrom('manifests')
          .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
          .select((eb) => ['repository_id', 'digest', eb.lit(now).as('fetched_at')])
          .where('repositories.name', '=', repository)
          .where('digest', '=', digest),
      )
      .onConflict((conflict) =>
        conflict.columns(['repository_id', 'digest']).doUpdateSet({ fetched_at: now }),
      )
      .execute();
  }

  /** Records that upstream's tag stands for this manifest now; nothing when the tag is gone meanwhile. */
  async confirmTag(repository: RepositoryName, tag: Tag, manifest: Digest): Promise<void> {
    const now = Date.now();
    await this.#db
      .insertInto('mirrored_tags')
      .columns(['repository_id', 'name', 'manifest', 'checked_at'])
      .expression(
        this.#db
          .selectFrom('tags')
          .innerJoin('repositories', 'repositories.id', 'tags.repository_id')
          .select((eb) => ['repository_id', 'tags.name', 'manifest', eb.lit(now).as('checked_at')])
          .where('repositories.name', '=', repository)
          .where('tags.name', '=', tag)
          .where('manifest', '=', manifest),
      )
      .onConflict((conflict) =>
        conflict.columns(['repository_id', 'name']).doUpdateSet({ manifest, checked_at: now }),
      )
      .execute();
  }

  /** Whether a manifest that is in the repository names this blob. */
  async namesBlob(repository: RepositoryName, digest: Digest): Promise<boolean> {
    const row = await this.#db
      .selectFrom('manifest_references')
      .innerJoin('repositories', 'repositories.id', 'manifest_references.repository_id')
      .select('digest')
      .where('digest', '=', digest)
      .where('kind', '=', 'blob')
      .where('repositories.name', '=', repository)
      .limit(1)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** Up to `limit` manifests from upstream that were neither fetched nor pulled since `before`. */
  async unused(before: Date, limit: number): Promise<{ repository: RepositoryName; digest: Digest }[]> {
    const since = before.getTime();
    const rows = await this.#db
      .selectFrom('mirrored_manifests')
      .innerJoin('repositories', 'repositories.id', 'mirrored_manifests.repository_id')
      .select(['repositories.name as repository', 'mirrored_manifests.digest'])
      .where('fetched_at', '<', since)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('pulls')
              .select('pulls.reference')
              .whereRef('pulls.repository_id', '=', 'mirrored_manifests.repository_id')
              .where('pulls.kind', '=', 'manifest')
              .whereRef('pulls.reference', '=', 'mirrored_manifests.digest')
              .where('pulls.last_pulled_at', '>=', since),
          ),
        ),
      )
      .limit(limit)
      .execute();
    return rows as { repository: RepositoryName; digest: Digest }[];
  }
}

import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';

/** Which referrers of a subject: those of one type, after one digest. */
export interface ReferrersQuery {
  readonly artifactType?: string | undefined;
  readonly last?: string | undefined;
}

/** How many parameters one statement takes. */
const BATCH = 500;

export class ReferrersRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /**
   * The manifests that name `subject`, by digest: at most `entries`, and no more than make up `bytes` of JSON, but
   * one at least. `more` says that there are others.
   */
  async page(
    repository: RepositoryName,
    subject: Digest,
    query: ReferrersQuery,
    limit: { entries: number; bytes: number },
  ): Promise<{ descriptors: Descriptor[]; more: boolean }> {
    const found = this.#of(repository, subject, query);
    const sizes = await found
      .select(({ fn }) => fn<number>('octet_length', ['descriptor']).as('size'))
      .limit(limit.entries + 1)
      .execute();
    let [count, bytes] = [0, 0];
    for (const { size } of sizes.slice(0, limit.entries)) {
      bytes += size;
      if (count > 0 && bytes > limit.bytes) break;
      count++;
    }
    if (count === 0) return { descriptors: [], more: false };
    const rows = await found.select('descriptor').limit(count).execute();
    return {
      descriptors: rows.map((row) => JSON.parse(row.descriptor)),
      more: rows.length > 0 && sizes.length > count,
    };
  }

  /** Those of `digests` that are manifests of the repository and name no subject. */
  async withoutSubject(repository: RepositoryName, digests: readonly Digest[]): Promise<Set<string>> {
    const found = new Set<string>();
    for (let start = 0; start < digests.length; start += BATCH) {
      const rows = await this.#db
        .selectFrom('repositories')
        .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
        .select('manifests.digest')
        .where('repositories.name', '=', repository)
        .where('manifests.digest', 'in', digests.slice(start, start + BATCH))
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('referrers')
                .select('referrers.digest')
                .whereRef('referrers.repository_id', '=', 'manifests.repository_id')
                .whereRef('referrers.digest', '=', 'manifests.digest'),
            ),
          ),
        )
        .execute();
      for (const { digest } of rows) found.add(digest);
    }
    return found;
  }

  #of(repository: RepositoryName, subject: Digest, { artifactType, last }: ReferrersQuery) {
    const query = this.#db
      .selectFrom('repositories')
      .innerJoin('referrers', 'referrers.repository_id', 'repositories.id')
      .where('repositories.name', '=', repository)
      .where('subject', '=', subject)
      .where('digest', '>', last ?? '')
      .orderBy('digest');
    return artifactType === undefined ? query : query.where('artifact_type', '=', artifactType);
  }
}

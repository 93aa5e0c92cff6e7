import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';

export class ReferrersRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Up to `limit` manifests that name `subject`, by digest, after `last`. */
  async list(
    repository: RepositoryName,
    subject: Digest,
    options: { artifactType?: string | undefined; limit: number; last?: string | undefined },
  ): Promise<Descriptor[]> {
    let query = this.#db
      .selectFrom('repositories')
      .innerJoin('referrers', 'referrers.repository_id', 'repositories.id')
      .select('descriptor')
      .where('repositories.name', '=', repository)
      .where('subject', '=', subject)
      .where('digest', '>', options.last ?? '')
      .orderBy('digest')
      .limit(options.limit);
    if (options.artifactType !== undefined) query = query.where('artifact_type', '=', options.artifactType);
    return (await query.execute()).map((row) => JSON.parse(row.descriptor));
  }
}

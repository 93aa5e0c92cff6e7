import { sql } from 'kysely';
import { databaseNow, firstSegment } from '#database/dialect.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';

export interface RecordedBlob {
  readonly digest: string;
  readonly size: number;
  readonly location: string;
}

/** A blob that a manifest of a repository names and that the repository does not see. */
export interface MissingLink {
  readonly repositoryId: number;
  readonly repository: string;
  readonly manifest: string;
  readonly digest: string;
  /** Whether the blob is there, for others. */
  readonly stored: boolean;
}

/** What the metadata says, for comparison, and its repair. */
export class FsckRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Up to `limit` blobs by digest, after `last`. */
  async blobs(limit: number, last = ''): Promise<RecordedBlob[]> {
    return await this.#db
      .selectFrom('blobs')
      .select(['digest', 'size', 'location'])
      .where('digest', '>', last)
      .orderBy('digest')
      .limit(limit)
      .execute();
  }

  /** Whether a blob is still where it was. */
  async isAt({ digest, location }: RecordedBlob): Promise<boolean> {
    const row = await this.#db
      .selectFrom('blobs')
      .select('digest')
      .where('digest', '=', digest)
      .where('location', '=', location)
      .executeTakeFirst();
    return row !== undefined;
  }

  /**
   * Forgets a blob whose content is not what it should be: clients are told that it is not there, and the next push of
   * it puts everything right. Its content goes, if any.
   */
  async forget({ digest, location, size }: RecordedBlob): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const row = await trx
        .selectFrom('blobs')
        .select('digest')
        .where('digest', '=', digest)
        .where('location', '=', location)
        .forUpdate()
        .executeTakeFirst();
      if (!row) return false;
      await trx.deleteFrom('repository_blobs').where('digest', '=', digest).execute();
      await trx.deleteFrom('namespace_blobs').where('digest', '=', digest).execute();
      await trx.deleteFrom('blobs').where('digest', '=', digest).execute();
      await trx
        .insertInto('gc_locations')
        .values({ location, size, delete_after: databaseNow(trx) })
        .onConflict((conflict) => conflict.column('location').doNothing())
        .execute();
      return true;
    });
  }

  /** Up to `limit`, by repository, manifest and digest, after `last`. */
  async missingLinks(limit: number, last?: MissingLink): Promise<MissingLink[]> {
    let query = this.#db
      .selectFrom('manifest_references as reference')
      .innerJoin('repositories', 'repositories.id', 'reference.repository_id')
      .leftJoin('repository_blobs as link', (join) =>
        join
          .onRef('link.repository_id', '=', 'reference.repository_id')
          .onRef('link.digest', '=', 'reference.digest'),
      )
      .leftJoin('blobs', 'blobs.digest', 'reference.digest')
      .select([
        'reference.repository_id as repositoryId',
        'repositories.name as repository',
        'reference.manifest',
        'reference.digest',
        'blobs.location',
      ])
      .where('reference.kind', '=', 'blob')
      .where('link.digest', 'is', null)
      .orderBy('reference.repository_id')
      .orderBy('reference.manifest')
      .orderBy('reference.digest')
      .limit(limit);
    if (last) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(
          refTuple('reference.repository_id', 'reference.manifest', 'reference.digest'),
          '>',
          tuple(last.repositoryId, last.manifest, last.digest),
        ),
      );
    }
    const rows = await query.execute();
    return rows.map(({ location, ...row }) => ({ ...row, stored: location !== null }));
  }

  async manifest(
    repositoryId: number,
    digest: string,
  ): Promise<{ payload: Uint8Array; mediaType: string } | undefined> {
    return await this.#db
      .selectFrom('manifests')
      .select(['payload', 'media_type as mediaType'])
      .where('repository_id', '=', repositoryId)
      .where('digest', '=', digest)
      .executeTakeFirst();
  }

  /** Shows a repository a blob that one of its manifests names. */
  async link({ repositoryId, digest }: MissingLink): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const blob = trx.selectFrom('blobs').select('digest').where('digest', '=', digest);
      if (!(await blob.forKeyShare().executeTakeFirst())) return;
      await trx
        .insertInto('repository_blobs')
        .values({ repository_id: repositoryId, digest, created_at: Date.now() })
        .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
        .execute();
    });
  }

  /** Namespaces that are charged for other bytes than their repositories see. */
  async wrongUsage(): Promise<{ namespace: string; charged: number; actual: number }[]> {
    const { rows } = await sql<{ namespace: string; charged: number; actual: number }>`
      with seen as (
        select distinct ${firstSegment(this.#db, sql`r.name`)} as namespace, b.digest, b.size
        from repository_blobs l join repositories r on r.id = l.repository_id join blobs b on b.digest = l.digest
      ), charged as (
        select namespace, cast(sum(bytes) as bigint) as bytes from namespace_usage group by namespace
      ), actual as (select namespace, cast(sum(size) as bigint) as bytes from seen group by namespace)
      select n.namespace as namespace, coalesce(c.bytes, 0) as charged, coalesce(a.bytes, 0) as actual
      from (select namespace from charged union select namespace from actual) n
      left join charged c on c.namespace = n.namespace left join actual a on a.namespace = n.namespace
      where coalesce(c.bytes, 0) != coalesce(a.bytes, 0) order by n.namespace`.execute(this.#db);
    return rows;
  }

  /** Charges a namespace for what its repositories see. */
  async recount(namespace: string): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const seen = sql`select distinct b.digest, b.size from repository_blobs l
        join repositories r on r.id = l.repository_id join blobs b on b.digest = l.digest
        where ${firstSegment(trx, sql`r.name`)} = ${namespace}`;
      await sql`delete from namespace_blobs where namespace = ${namespace}
        and digest not in (select digest from (${seen}) as seen)`.execute(trx);
      await sql`insert into namespace_blobs (namespace, digest, size)
        select ${namespace}, digest, size from (${seen}) as seen where true
        on conflict (namespace, digest) do nothing`.execute(trx);
      await sql`insert into namespace_usage (namespace, bytes) select ${namespace},
        (select coalesce(sum(size), 0) from namespace_blobs where namespace = ${namespace})
        - (select coalesce(sum(bytes), 0) from namespace_usage where namespace = ${namespace})`.execute(trx);
    });
  }
}

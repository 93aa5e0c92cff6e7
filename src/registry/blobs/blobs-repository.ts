import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import { type Parameter, type PreparedQuery, prepare, statement } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { postponeReview } from '../gc/review-queues-repository.ts';
import { requireQuota } from '../quotas/quotas-repository.ts';
import { ensureRepository } from '../repositories/repositories-repository.ts';
import { endUpload, type HeldUpload } from '../uploads/uploads-repository.ts';

/** By when a commit under way has either happened or not. */
const UNCERTAIN = 10 * 60_000;

/** When someone else does it if the one who should did not. */
const SOON = 60_000;

/** A blob's size in bytes and where its content is. */
export interface StoredBlob {
  readonly size: number;
  readonly location: string;
}

/** Content that is stored at `location`, and whose it is. */
export interface StoredUpload extends StoredBlob {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly upload?: Pick<HeldUpload, 'id' | 'token'> | undefined;
}

const blobRow = (db: RegistryDatabase, parameter: Parameter<{ digest: string }>) =>
  db.selectFrom('blobs').select(['size', 'location']).where('digest', '=', parameter('digest'));

const selectBlob = statement(blobRow);
const selectForUpdate = statement((db: RegistryDatabase, parameter: Parameter<{ digest: string }>) =>
  blobRow(db, parameter).forUpdate(),
);
const selectForKeyShare = statement((db: RegistryDatabase, parameter: Parameter<{ digest: string }>) =>
  blobRow(db, parameter).forKeyShare(),
);

/** Nothing when the digest has one already. */
const insertBlob = statement<RegistryDatabase, StoredBlob & { digest: string; now: number }>(
  (db, parameter) =>
    db
      .insertInto('blobs')
      .values({
        digest: parameter('digest'),
        size: parameter('size'),
        location: parameter('location'),
        created_at: parameter('now'),
      })
      .onConflict((conflict) => conflict.column('digest').doNothing()),
);

/** Nothing when there is one already. */
const insertLink = statement<RegistryDatabase, { repository: number; digest: string; now: number }>(
  (db, parameter) =>
    db
      .insertInto('repository_blobs')
      .values({
        repository_id: parameter('repository'),
        digest: parameter('digest'),
        created_at: parameter('now'),
      })
      .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing()),
);

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
    return (await selectBlob(this.#db, { digest })).rows[0];
  }

  /**
   * Shows a repository a blob that is stored already and ends its upload, in one step. False when it is not, or no
   * longer, at `location`.
   */
  async adopt(blob: StoredUpload, actor: Actor): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const held = await holdBlob(trx, blob.digest, 'key share');
      if (held?.location !== blob.location) return false;
      await show(trx, blob, actor);
      return true;
    });
  }

  /**
   * Records where a digest's content is, shows it to a repository and ends its upload, in one step. When another push
   * of the same digest came first, that one's content stays; unless it is at `broken`, where nothing usable was found.
   * Returns the location of content that nobody needs now, if any; it is on the list of what to delete.
   */
  async publish(
    blob: StoredUpload & { broken?: string | undefined },
    actor: Actor,
  ): Promise<string | undefined> {
    const { digest, size, location, broken } = blob;
    return await inTransaction(this.#db, async (trx) => {
      const held = await recordBlob(trx, blob);
      if (held.location === broken) {
        await trx.updateTable('blobs').set({ location, size }).where('digest', '=', digest).execute();
      }
      const surplus = held.location === broken ? held : { location, size };
      await show(trx, blob, actor);
      if (held.location === location) return undefined;
      await discardContent(trx, surplus, SOON);
      return surplus.location;
    });
  }

  /**
   * Lets go of content whose `publish` failed, and of its upload. After a while: a commit whose answer was lost may
   * have been one.
   */
  async discard({ location, size, upload }: Omit<StoredUpload, 'repository' | 'digest'>): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      await discardContent(trx, { location, size }, UNCERTAIN);
      if (upload === undefined) return;
      await trx.deleteFrom('uploads').where('id', '=', upload.id).where('token', '=', upload.token).execute();
    });
  }

  /** Takes a location off the list of what to delete: it is done. */
  async forget(location: string): Promise<void> {
    await this.#db.deleteFrom('gc_locations').where('location', '=', location).execute();
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
    return await inTransaction(this.#db, async (trx) => {
      const source = await trx
        .selectFrom('repository_blobs')
        .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
        .select('digest')
        .where('repositories.name', '=', from)
        .where('digest', '=', digest)
        .executeTakeFirst();
      if (!source || !(await holdBlob(trx, digest, 'key share'))) return false;
      await link(trx, repository, digest, Date.now());
      await recordEvents(trx, actor, [{ action: 'blob.mount', repository, digest, detail: { from } }]);
      return true;
    });
  }

  /** Hides a blob from a repository; false when it could not see it. The content stays for whoever else may. */
  async unlink(repository: RepositoryName, digest: Digest, actor: Actor): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
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

  /** Those of `locations` that belong to a blob or an upload, or are about to be deleted anyway. */
  async ownedLocations(locations: readonly string[]): Promise<Set<string>> {
    const rows = await this.#db
      .selectFrom('blobs')
      .select('location')
      .where('location', 'in', locations)
      .union(this.#db.selectFrom('uploads').select('location').where('location', 'in', locations))
      .union(this.#db.selectFrom('gc_locations').select('location').where('location', 'in', locations))
      .execute();
    return new Set(rows.map((row) => row.location));
  }
}

/** Holds a blob's row until the transaction ends, so that nobody collects it meanwhile. */
async function holdBlob(
  trx: RegistryDatabase,
  digest: Digest,
  mode: 'update' | 'key share',
): Promise<StoredBlob | undefined> {
  return (await (mode === 'update' ? selectForUpdate : selectForKeyShare)(trx, { digest })).rows[0];
}

/** The row that holds for a digest from now on: this one's, or that of who came first. */
async function recordBlob(
  trx: RegistryDatabase,
  { digest, size, location, broken }: StoredUpload & { broken?: string | undefined },
): Promise<StoredBlob> {
  for (;;) {
    const inserted = await insertBlob(trx, { digest, size, location, now: Date.now() });
    if (inserted.numAffectedRows === 1n) return { size, location };
    const held = await holdBlob(trx, digest, broken === undefined ? 'key share' : 'update');
    // Else it was collected in between.
    if (held) return held;
  }
}

/** Leaves content that no blob is at to the collector. */
async function discardContent(
  trx: RegistryDatabase,
  { location, size }: StoredBlob,
  delay: number,
): Promise<void> {
  await trx
    .insertInto('gc_locations')
    .values({ location, size, delete_after: sql<number>`${databaseNow(trx)} + ${sql.lit(delay)}` })
    .onConflict((conflict) => conflict.column('location').doNothing())
    .execute();
}

async function show(trx: RegistryDatabase, blob: StoredUpload, actor: Actor): Promise<void> {
  const { repository, digest, size, upload } = blob;
  await link(trx, repository, digest, Date.now());
  await recordEvents(trx, actor, [{ action: 'blob.push', repository, digest, size }]);
  if (upload !== undefined) await endUpload(trx, upload);
}

/** Throws `forbidden` when that takes the namespace past its quota. */
async function link(
  trx: RegistryDatabase,
  repository: RepositoryName,
  digest: Digest,
  now: number,
): Promise<void> {
  const id = await ensureRepository(trx, repository, now);
  await postponeReview(trx, 'gc_link_queue', id, digest);
  const made = await insertLink(trx, { repository: id, digest, now });
  if (made.numAffectedRows === 1n) await requireQuota(trx, repository);
}

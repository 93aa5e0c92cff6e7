import { type Expression, type InsertResult, sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import { type PreparedQuery, prepare, statement } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { conflict } from '#errors/errors.ts';
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

/** An upload as the request has it that works on it. */
export interface HeldUpload extends Upload {
  /** Larger by one than that of the request before. */
  readonly token: number;
  /** A process that counts as dead may still be writing to the location. */
  readonly suspect: boolean;
}

const HOLD = 10_000;

type Taken = Pick<HeldUpload, 'location' | 'algorithm' | 'token'> & { suspect: number };

export class UploadsRepository {
  /** How long a process may be silent before another one goes on with its upload, in milliseconds. */
  readonly hold: number;
  readonly #db: RegistryDatabase;
  readonly #add: PreparedQuery<Upload & { now: number }, InsertResult>;
  readonly #take: PreparedQuery<{ id: string; repository: string; holder: string }, Taken>;
  readonly #release: PreparedQuery<{ id: string; token: number; suspect: number }, { id: string }>;

  constructor(db: RegistryDatabase, { hold = HOLD }: { hold?: number } = {}) {
    this.hold = hold;
    this.#db = db;
    // An upload without a byte is no loss: a client whose upload is unknown begins another one.
    this.#add = prepare(
      db,
      (parameter) =>
        db.insertInto('uploads').values({
          id: parameter('id'),
          repository: parameter('repository'),
          location: parameter('location'),
          algorithm: parameter('algorithm'),
          created_at: parameter('now'),
        }),
      { relaxed: true },
    );
    // A power cut ends all holders: that is no promise to be kept on the disk.
    this.#take = prepare(
      db,
      (parameter) =>
        db
          .updateTable('uploads')
          .set({
            holder: parameter('holder'),
            held_until: this.#until(),
            token: sql<number>`token + 1`,
            suspect: sql<number>`case when holder is null then suspect else 1 end`,
          })
          .where('id', '=', parameter('id'))
          .where('repository', '=', parameter('repository'))
          .where((eb) => eb.or([eb('holder', 'is', null), eb('held_until', '<=', databaseNow(db))]))
          .returning(['location', 'algorithm', 'token', 'suspect']),
      { relaxed: true },
    );
    this.#release = prepare(
      db,
      (parameter) =>
        db
          .updateTable('uploads')
          .set({ holder: null, suspect: parameter('suspect') })
          .where('id', '=', parameter('id'))
          .where('token', '=', parameter('token'))
          .returning('id'),
      { relaxed: true },
    );
  }

  /** How many are under way. */
  async count(): Promise<number> {
    const row = await this.#db
      .selectFrom('uploads')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    return Number(row.count);
  }

  /** Survives the process at once, and a power cut when anything else was synced. */
  async add(upload: Upload): Promise<void> {
    await this.#add({ ...upload, now: Date.now() });
  }

  async exists(repository: RepositoryName, id: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('uploads')
      .select('id')
      .where('id', '=', id)
      .where('repository', '=', repository)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** Takes an upload for a request; undefined when another one has it, or when there is none. */
  async take(repository: RepositoryName, id: string, holder: string): Promise<HeldUpload | undefined> {
    const [taken] = await this.#take({ id, repository, holder });
    return taken && { ...taken, id, repository, suspect: taken.suspect === 1 };
  }

  /** Keeps those of a holder's uploads; returns the ids of those that are still its own. */
  async renew(holder: string, ids: readonly string[]): Promise<string[]> {
    const rows = await this.#db
      .updateTable('uploads')
      .set({ held_until: this.#until() })
      .where('holder', '=', holder)
      .where('id', 'in', [...ids].toSorted())
      .returning('id')
      .execute();
    return rows.map(({ id }) => id);
  }

  /** Leaves an upload to the next request; false when another one has it already, or when it is gone. */
  async release({ id, token, suspect }: HeldUpload): Promise<boolean> {
    return (await this.#release({ id, token, suspect: suspect ? 1 : 0 })).length > 0;
  }

  /** All are free: for the one process on the database, which has just been started. */
  async releaseAll(): Promise<void> {
    await this.#db.updateTable('uploads').set({ holder: null }).where('holder', 'is not', null).execute();
  }

  /** Gives an upload another location, where nobody else writes. Throws `conflict` when another request has it. */
  async move({ id, token }: HeldUpload, location: string): Promise<void> {
    const result = await this.#db
      .updateTable('uploads')
      .set({ location, suspect: 0 })
      .where('id', '=', id)
      .where('token', '=', token)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) throw continuedElsewhere();
  }

  /** Ends an upload. Throws `conflict` when another request has it. */
  async removeHeld(upload: HeldUpload): Promise<void> {
    await endUpload(this.#db, upload);
  }

  /** Ends an upload that no request works on; false when one does. */
  async removeIdle(id: string): Promise<boolean> {
    const db = this.#db;
    const result = await db
      .deleteFrom('uploads')
      .where('id', '=', id)
      .where((eb) => eb.or([eb('holder', 'is', null), eb('held_until', '<=', databaseNow(db))]))
      .executeTakeFirst();
    return result.numDeletedRows === 1n;
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

  #until(): Expression<number> {
    return sql<number>`${databaseNow(this.#db)} + ${sql.lit(this.hold)}`;
  }
}

/** Ends an upload in the transaction that makes a blob of it. Throws `conflict` when another request has it. */
export async function endUpload(
  trx: RegistryDatabase,
  { id, token }: Pick<HeldUpload, 'id' | 'token'>,
): Promise<void> {
  const { numAffectedRows } = await deleteHeld(trx, { id, token });
  if (numAffectedRows === 0n) throw continuedElsewhere();
}

const deleteHeld = statement<RegistryDatabase, Pick<HeldUpload, 'id' | 'token'>>((db, parameter) =>
  db.deleteFrom('uploads').where('id', '=', parameter('id')).where('token', '=', parameter('token')),
);

export function continuedElsewhere() {
  return conflict('the upload was continued by another request', { code: 'BLOB_UPLOAD_INVALID' });
}

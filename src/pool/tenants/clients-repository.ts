import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { conflict } from '#errors/errors.ts';

/** A certificate that a client shows. Times are in milliseconds since 1970. */
export interface PoolClient {
  readonly name: string;
  /** Who shows it: `user:ada`, `robot:ci`. */
  readonly subject: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** The certificates that are good: one that is not here is nobody's, whatever it says. */
export class ClientsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Throws `conflict` for a name that is taken. */
  async add(client: { name: string; subject: string; keyDigest: string }, life: number): Promise<void> {
    const now = databaseNow(this.#db);
    const { numInsertedOrUpdatedRows } = await this.#db
      .insertInto('pool_clients')
      .values({
        key_digest: client.keyDigest,
        name: client.name,
        subject: client.subject,
        created_at: now,
        expires_at: sql<number>`${now} + ${life}`,
      })
      .onConflict((found) => found.doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows !== 1n) throw conflict(`there is a client '${client.name}' already`);
  }

  /** Whose a key is; undefined when its certificate was taken back or has run out. */
  async subjectOf(keyDigest: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('pool_clients')
      .select('subject')
      .where('key_digest', '=', keyDigest)
      .where('expires_at', '>', databaseNow(this.#db))
      .executeTakeFirst();
    return row?.subject;
  }

  async list(): Promise<PoolClient[]> {
    const rows = await this.#db
      .selectFrom('pool_clients')
      .select(['name', 'subject', 'created_at', 'expires_at'])
      .orderBy('name')
      .execute();
    return rows.map(({ name, subject, created_at, expires_at }) => ({
      name,
      subject,
      createdAt: Number(created_at),
      expiresAt: Number(expires_at),
    }));
  }

  async remove(name: string): Promise<boolean> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('pool_clients')
      .where('name', '=', name)
      .executeTakeFirst();
    return numDeletedRows > 0n;
  }
}

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type RawBuilder, sql } from 'kysely';
import { conflict } from '#errors/errors.ts';
import { databaseNow } from '../dialect.ts';
import type { RegistryDatabase } from './open.ts';

/** In milliseconds: how long a holder that died keeps the others waiting. */
const DURATION = 30_000;

/** The right to do what only one process may do at a time. */
export interface Lease {
  readonly name: string;
  /** Larger than that of everyone who held the lease before. */
  readonly token: number;
  /** Aborts when the lease is lost, or when whoever asked for it no longer wants it. */
  readonly signal: AbortSignal;
  /**
   * Makes a transaction part of the lease: nobody else gets it before that ends. Throws `conflict` when somebody
   * else has it already, so that what a process does that was thought dead is not committed.
   */
  hold(trx: RegistryDatabase): Promise<void>;
}

/** Leases by name, for all processes on one database. One is renewed as long as its task runs. */
export class Leases {
  readonly #db: RegistryDatabase;
  readonly #duration: number;
  readonly #holder = `${hostname()}/${process.pid}/${randomUUID()}`;

  constructor({ db, duration = DURATION }: { db: RegistryDatabase; duration?: number }) {
    this.#db = db;
    this.#duration = duration;
  }

  /**
   * Runs a task while holding a lease; when another process has it returns undefined at once. The task ends soon
   * after its lease's signal aborts.
   */
  async run<T>(
    name: string,
    task: (lease: Lease) => Promise<T>,
    options: { signal?: AbortSignal } = {},
  ): Promise<T | undefined> {
    let until = performance.now() + this.#duration;
    const token = await this.#acquire(name);
    if (token === undefined) return undefined;
    const lost = new AbortController();
    const renewal = setInterval(async () => {
      const asked = performance.now();
      // A database that does not answer may do so the next time; what counts is when it did last.
      const kept = await this.#renew(name, token).catch(() => undefined);
      if (kept) until = asked + this.#duration;
      if (kept === false || performance.now() > until) lost.abort(conflict(`the lease '${name}' was lost`));
    }, this.#duration / 4);
    const signal = options.signal ? AbortSignal.any([options.signal, lost.signal]) : lost.signal;
    try {
      return await task({ name, token, signal, hold: (trx) => this.#hold(trx, name, token) });
    } finally {
      clearInterval(renewal);
      // Who cannot be told finds out when it expires.
      await this.#release(name, token).catch(() => {});
    }
  }

  async #acquire(name: string): Promise<number | undefined> {
    const now = databaseNow(this.#db);
    const row = await this.#db
      .insertInto('leases')
      .values({ name, holder: this.#holder, token: 1, expires_at: this.#expiry() })
      .onConflict((conflicting) =>
        conflicting
          .column('name')
          .doUpdateSet(({ ref }) => ({
            holder: ref('excluded.holder'),
            token: sql<number>`leases.token + 1`,
            expires_at: ref('excluded.expires_at'),
          }))
          .where('leases.expires_at', '<=', now),
      )
      .returning('token')
      .executeTakeFirst();
    return row?.token;
  }

  async #renew(name: string, token: number): Promise<boolean> {
    const result = await this.#db
      .updateTable('leases')
      .set({ expires_at: this.#expiry() })
      .where('name', '=', name)
      .where('token', '=', token)
      .executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  async #release(name: string, token: number): Promise<void> {
    await this.#db
      .updateTable('leases')
      .set({ expires_at: 0 })
      .where('name', '=', name)
      .where('token', '=', token)
      .execute();
  }

  async #hold(trx: RegistryDatabase, name: string, token: number): Promise<void> {
    const row = await trx
      .selectFrom('leases')
      .select('token')
      .where('name', '=', name)
      .where('token', '=', token)
      .forShare()
      .executeTakeFirst();
    if (!row) throw conflict(`the lease '${name}' was lost`);
  }

  #expiry(): RawBuilder<number> {
    return sql<number>`${databaseNow(this.#db)} + ${sql.lit(this.#duration)}`;
  }
}

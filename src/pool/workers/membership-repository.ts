import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, unauthorized } from '#errors/errors.ts';
import { OverlayEndpointsRepository } from '../overlay/overlay-endpoints-repository.ts';
import { TenantRemovalRepository } from '../tenants/tenant-removal-repository.ts';
import type { Authority } from './certificates.ts';
import { joinTokenMatches, readJoinToken } from './join-token.ts';

const AUTHORITY = 1;
/** Tokens that ran out so long ago, in milliseconds, are forgotten. */
const REMEMBERED = 7 * 24 * 60 * 60_000;

/** A token as people see it: without what it says. Times are in milliseconds since 1970. */
export interface ShownToken {
  readonly id: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly usedAt: number | null;
}

/** The pool's authority, tokens, and who joined with them. */
export class MembershipRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** The pool's only one: the first that was offered. */
  async authority(create: () => Promise<Authority>): Promise<Authority> {
    const known = await this.#authority();
    if (known) return known;
    const { certificate, privateKey } = await create();
    await this.#db
      .insertInto('pool_authority')
      .values({ id: AUTHORITY, certificate, private_key: privateKey, created_at: databaseNow(this.#db) })
      .onConflict((conflicting) => conflicting.column('id').doNothing())
      .execute();
    return (await this.#authority())!;
  }

  /** Keeps a token's hash for `life` milliseconds. Resolves to when it runs out. */
  async addToken({ id, hash }: { id: string; hash: string }, life: number): Promise<number> {
    const now = databaseNow(this.#db);
    await this.#db
      .deleteFrom('join_tokens')
      .where('expires_at', '<', sql<number>`${now} - ${REMEMBERED}`)
      .execute();
    const { expires_at } = await this.#db
      .insertInto('join_tokens')
      .values({
        id,
        hash,
        created_at: now,
        expires_at: sql<number>`${now} + ${life}`,
        used_at: null,
        used_by: null,
      })
      .returning('expires_at')
      .executeTakeFirstOrThrow();
    return expires_at;
  }

  async tokens(): Promise<ShownToken[]> {
    const rows = await this.#db.selectFrom('join_tokens').selectAll().orderBy('created_at').execute();
    return rows.map(({ id, created_at, expires_at, used_at }) => ({
      id,
      createdAt: created_at,
      expiresAt: expires_at,
      usedAt: used_at,
    }));
  }

  /** Whether there was such a token. */
  async removeToken(id: string): Promise<boolean> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('join_tokens')
      .where('id', '=', id)
      .executeTakeFirst();
    return numDeletedRows > 0n;
  }

  /**
   * Makes the owner of a key the worker of a name, for a token that nobody else used: all of it, or nothing. Asked again
   * by the same key it is done already. Throws `unauthorized` and `conflict`.
   */
  async join(token: string, member: { name: string; keyDigest: string }): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      await useToken(trx, token, member.keyDigest);
      await trx
        .insertInto('worker_identities')
        .values({ name: member.name, key_digest: member.keyDigest, joined_at: databaseNow(trx) })
        .onConflict((conflicting) => conflicting.column('name').doNothing())
        .execute();
      const { key_digest } = await trx
        .selectFrom('worker_identities')
        .select('key_digest')
        .where('name', '=', member.name)
        .executeTakeFirstOrThrow();
      if (key_digest === member.keyDigest) return;
      throw conflict(
        `the pool has another worker called '${member.name}': give this one another name, or remove that one ` +
          `(slipway pool worker-remove ${member.name})`,
      );
    });
  }

  async isMember({ name, keyDigest }: { name: string; keyDigest: string }): Promise<boolean> {
    const row = await this.#db
      .selectFrom('worker_identities')
      .select('name')
      .where('name', '=', name)
      .where('key_digest', '=', keyDigest)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** Forgets a worker, with its lease and all that is known of what it has. False when there was none. */
  async remove(name: string): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const result = await trx.deleteFrom('worker_identities').where('name', '=', name).executeTakeFirst();
      await trx
        .updateTable('workers')
        // Whoever looks for leases that ran out deals with what it was at.
        .set({ lease_expires_at: 0 })
        .where('name', '=', name)
        .execute();
      await trx.deleteFrom('placements').where('worker', '=', name).execute();
      await new OverlayEndpointsRepository(trx).forgetWorker(name);
      await new TenantRemovalRepository(trx).forgetWorker(name);
      return result.numDeletedRows > 0n;
    });
  }

  async #authority(): Promise<Authority | undefined> {
    const row = await this.#db
      .selectFrom('pool_authority')
      .selectAll()
      .where('id', '=', AUTHORITY)
      .executeTakeFirst();
    return row && { certificate: row.certificate, privateKey: row.private_key };
  }
}

async function useToken(trx: PoolDatabase, text: string, keyDigest: string): Promise<void> {
  const { id } = readJoinToken(text);
  const now = databaseNow(trx);
  // The write comes first: of two that use it at once, the second one waits here and then sees that it was used.
  await trx
    .updateTable('join_tokens')
    .set({ used_at: now, used_by: keyDigest })
    .where('id', '=', id)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .execute();
  const token = await trx
    .selectFrom('join_tokens')
    .select(['hash', 'used_by', sql<number>`case when expires_at > ${now} then 0 else 1 end`.as('isOver')])
    .where('id', '=', id)
    .executeTakeFirst();
  if (!token || !joinTokenMatches(text, token.hash)) throw unauthorized('the pool knows no such join token');
  if (token.used_by === keyDigest) return;
  if (token.used_by !== null)
    throw unauthorized('the join token was used already: each lets one worker join');
  throw unauthorized('the join token ran out: make another one with slipway pool token-create');
}

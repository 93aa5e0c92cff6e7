import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';

/** Of one principal; the oldest make room. Each `docker login` makes one. */
const MOST_PER_PRINCIPAL = 50;

/** What a client may get access tokens with, in the place of a password. Times are milliseconds since 1970. */
export interface RefreshTokenRow {
  readonly id: string;
  readonly hash: string;
  readonly principal: string;
  /** The secret that it was got with. */
  readonly secretId: string | undefined;
  readonly clientId: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export class RefreshTokensRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async insert(token: RefreshTokenRow): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const kept = await trx
        .selectFrom('refresh_tokens')
        .select('created_at')
        .where('principal', '=', token.principal)
        .orderBy('created_at', 'desc')
        .offset(MOST_PER_PRINCIPAL - 1)
        .limit(1)
        .executeTakeFirst();
      await trx
        .deleteFrom('refresh_tokens')
        .where('principal', '=', token.principal)
        .where((where) =>
          where.or([
            where('expires_at', '<', token.createdAt),
            ...(kept ? [where('created_at', '<=', kept.created_at)] : []),
          ]),
        )
        .execute();
      await trx
        .insertInto('refresh_tokens')
        .values({
          id: token.id,
          hash: token.hash,
          principal: token.principal,
          secret_id: token.secretId ?? null,
          client_id: token.clientId,
          created_at: token.createdAt,
          expires_at: token.expiresAt,
        })
        .execute();
    });
  }

  async find(id: string): Promise<RefreshTokenRow | undefined> {
    const row = await this.#db
      .selectFrom('refresh_tokens')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return (
      row && {
        id: row.id,
        hash: row.hash,
        principal: row.principal,
        secretId: row.secret_id ?? undefined,
        clientId: row.client_id,
        createdAt: row.created_at,
        expiresAt: row.expires_at,
      }
    );
  }

  async remove(id: string): Promise<void> {
    await this.#db.deleteFrom('refresh_tokens').where('id', '=', id).execute();
  }
}

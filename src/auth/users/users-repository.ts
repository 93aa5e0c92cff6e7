import type { Selectable } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RegistrySchema } from '#database/registry/schema.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, notFound } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import type { AuthAction, RecordChange } from '../record-change.ts';
import { removePrincipal, revokeTokens } from '../tokens/revocations-repository.ts';
import type { User } from './user.ts';

type Row = Selectable<RegistrySchema['users']>;

/** Columns that change, with the names that the audit log has for them. */
export interface UserChange {
  readonly displayName?: string | null | undefined;
  readonly email?: string | null | undefined;
  readonly passwordHash?: string | undefined;
  readonly disabled?: boolean | undefined;
}

export class UsersRepository {
  readonly #db: RegistryDatabase;
  readonly #record: RecordChange;

  constructor(ports: { db: RegistryDatabase; record: RecordChange }) {
    this.#db = ports.db;
    this.#record = ports.record;
  }

  /** Throws `conflict` when there is one of this name; `onlyFirst` when there is any, and then changes nothing. */
  async insert(
    user: {
      name: string;
      displayName: string | undefined;
      email: string | undefined;
      passwordHash: string | undefined;
    },
    actor: Actor,
  ): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const { numInsertedOrUpdatedRows } = await trx
        .insertInto('users')
        .values({
          name: user.name,
          display_name: user.displayName ?? null,
          email: user.email ?? null,
          password_hash: user.passwordHash ?? null,
          disabled_at: null,
          created_at: Date.now(),
          last_login_at: null,
        })
        .onConflict((key) => key.column('name').doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows !== 1n) throw conflict(`there is a user '${user.name}' already`);
      await this.#log(trx, actor, 'user.create', { user: user.name });
    });
  }

  async find(name: string): Promise<User | undefined> {
    const row = await this.#row(name);
    return row && toUser(row);
  }

  /** What a login needs to know. */
  async findLogin(
    name: string,
  ): Promise<{ passwordHash: string | undefined; disabled: boolean } | undefined> {
    const row = await this.#row(name);
    return row && { passwordHash: row.password_hash ?? undefined, disabled: row.disabled_at !== null };
  }

  async list(options: { limit: number; last?: string | undefined }): Promise<User[]> {
    const rows = await this.#db
      .selectFrom('users')
      .selectAll()
      .where('name', '>', options.last ?? '')
      .orderBy('name')
      .limit(options.limit)
      .execute();
    return rows.map(toUser);
  }

  async any(): Promise<boolean> {
    return (await this.list({ limit: 1 })).length > 0;
  }

  /** Throws `not-found`. A new password and being disabled end what was logged in. */
  async update(name: string, change: UserChange, actor: Actor): Promise<void> {
    const values = {
      ...(change.displayName !== undefined && { display_name: change.displayName }),
      ...(change.email !== undefined && { email: change.email }),
      ...(change.passwordHash !== undefined && { password_hash: change.passwordHash }),
      ...(change.disabled !== undefined && { disabled_at: change.disabled ? Date.now() : null }),
    };
    await inTransaction(this.#db, async (trx) => {
      if (Object.keys(values).length > 0) {
        const { numUpdatedRows } = await trx
          .updateTable('users')
          .set(values)
          .where('name', '=', name)
          .executeTakeFirst();
        if (numUpdatedRows === 0n) throw unknownUser(name);
      }
      if (change.passwordHash !== undefined || change.disabled) await revokeTokens(trx, `user:${name}`);
      const { passwordHash, ...shown } = change;
      const detail = { user: name, ...shown, ...(passwordHash !== undefined && { password: 'changed' }) };
      await this.#log(trx, actor, 'user.update', detail);
    });
  }

  /** Throws `not-found`. Nothing that was the user's is left. */
  async remove(name: string, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const { numDeletedRows } = await trx.deleteFrom('users').where('name', '=', name).executeTakeFirst();
      if (numDeletedRows === 0n) throw unknownUser(name);
      await removePrincipal(trx, `user:${name}`);
      await this.#log(trx, actor, 'user.delete', { user: name });
    });
  }

  /** Notes a login; `newHash` replaces `oldHash` if nobody else has meanwhile. */
  async loggedIn(name: string, rehash?: { oldHash: string; newHash: string }): Promise<void> {
    await this.#db.updateTable('users').set({ last_login_at: Date.now() }).where('name', '=', name).execute();
    if (!rehash) return;
    await this.#db
      .updateTable('users')
      .set({ password_hash: rehash.newHash })
      .where('name', '=', name)
      .where('password_hash', '=', rehash.oldHash)
      .execute();
  }

  async #row(name: string): Promise<Row | undefined> {
    return await this.#db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst();
  }

  async #log(
    trx: RegistryDatabase,
    actor: Actor,
    action: AuthAction,
    detail: Record<string, unknown>,
  ): Promise<void> {
    await this.#record(trx, actor, [{ action, detail }]);
  }
}

export function unknownUser(name: string) {
  return notFound(`there is no user '${name}'`);
}

function toUser(row: Row): User {
  return {
    name: row.name,
    displayName: row.display_name ?? undefined,
    email: row.email ?? undefined,
    hasPassword: row.password_hash !== null,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
    lastLoginAt: row.last_login_at ?? undefined,
  };
}

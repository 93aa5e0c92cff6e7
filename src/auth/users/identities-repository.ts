import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import type { RecordChange } from '../record-change.ts';
import { unknownUser } from './users-repository.ts';

/** Who someone is at an OpenID provider: `sub` never changes and is never given to another. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
}

/** Which users are who at OpenID providers. */
export class IdentitiesRepository {
  readonly #db: RegistryDatabase;
  readonly #record: RecordChange;

  constructor(ports: { db: RegistryDatabase; record: RecordChange }) {
    this.#db = ports.db;
    this.#record = ports.record;
  }

  async find({ issuer, subject }: Identity): Promise<{ user: string; disabled: boolean } | undefined> {
    const row = await this.#db
      .selectFrom('user_identities')
      .innerJoin('users', 'users.name', 'user_identities.user_name')
      .select(['users.name', 'users.disabled_at'])
      .where('issuer', '=', issuer)
      .where('subject', '=', subject)
      .executeTakeFirst();
    return row && { user: row.name, disabled: row.disabled_at !== null };
  }

  /** A new user who is that. Throws `conflict` for a name that is taken. */
  async create(
    user: Identity & { name: string; displayName: string | undefined; email: string | undefined },
    actor: Actor,
  ): Promise<void> {
    const { name, issuer, subject } = user;
    const now = Date.now();
    await inTransaction(this.#db, async (trx) => {
      const { numInsertedOrUpdatedRows } = await trx
        .insertInto('users')
        .values({
          name,
          display_name: user.displayName ?? null,
          email: user.email ?? null,
          password_hash: null,
          disabled_at: null,
          created_at: now,
          last_login_at: null,
        })
        .onConflict((key) => key.column('name').doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows !== 1n) {
        throw conflict(`there is a user '${name}' already: an administrator has to link the two`);
      }
      await trx
        .insertInto('user_identities')
        .values({ issuer, subject, user_name: name, created_at: now })
        .execute();
      await this.#record(trx, actor, [{ action: 'user.create', detail: { user: name, issuer, subject } }]);
    });
  }

  /** Says that a user is also that. Throws `not-found`, and `conflict` when another is. */
  async link(name: string, { issuer, subject }: Identity, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const user = await trx.selectFrom('users').select('name').where('name', '=', name).executeTakeFirst();
      if (!user) throw unknownUser(name);
      const { numInsertedOrUpdatedRows } = await trx
        .insertInto('user_identities')
        .values({ issuer, subject, user_name: name, created_at: Date.now() })
        .onConflict((key) => key.columns(['issuer', 'subject']).doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows !== 1n) throw conflict('a user is linked to this identity already');
      await this.#record(trx, actor, [{ action: 'user.update', detail: { user: name, issuer, subject } }]);
    });
  }

  async loggedIn(name: string, actor: Actor, identity: Identity): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      await trx.updateTable('users').set({ last_login_at: Date.now() }).where('name', '=', name).execute();
      await this.#record(trx, actor, [{ action: 'login.oidc', detail: { user: name, ...identity } }]);
    });
  }
}

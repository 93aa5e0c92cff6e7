import type { Selectable } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RegistrySchema } from '#database/registry/schema.ts';
import { inTransaction } from '#database/transaction.ts';
import { notFound } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import type { Permission } from '../policies/grant.ts';
import type { RecordChange } from '../record-change.ts';
import { revokeTokens } from '../tokens/revocations-repository.ts';
import type { Secret, SecretOwner } from './secret.ts';

/** A use is noted when the last one noted is older, in milliseconds. */
const USE_GRAIN = 10 * 60_000;

export class SecretsRepository {
  readonly #db: RegistryDatabase;
  readonly #record: RecordChange;

  constructor(ports: { db: RegistryDatabase; record: RecordChange }) {
    this.#db = ports.db;
    this.#record = ports.record;
  }

  /** Throws `not-found` when there is no such owner. */
  async insert(secret: Secret & { hash: string }, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      await expectOwner(trx, secret.owner);
      await trx
        .insertInto('secrets')
        .values({
          id: secret.id,
          owner: secret.owner,
          hash: secret.hash,
          description: secret.description,
          permissions: secret.permissions ? JSON.stringify(secret.permissions) : null,
          expires_at: secret.expiresAt ?? null,
          created_at: secret.createdAt,
          last_used_at: null,
        })
        .execute();
      const { owner, id, permissions, expiresAt } = secret;
      await this.#record(trx, actor, [
        { action: 'secret.create', detail: { owner, id, permissions, expiresAt } },
      ]);
    });
  }

  async find(id: string): Promise<(Secret & { hash: string }) | undefined> {
    const row = await this.#db.selectFrom('secrets').selectAll().where('id', '=', id).executeTakeFirst();
    return row && { ...toSecret(row), hash: row.hash };
  }

  async list(owner: SecretOwner): Promise<Secret[]> {
    const rows = await this.#db
      .selectFrom('secrets')
      .selectAll()
      .where('owner', '=', owner)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    return rows.map(toSecret);
  }

  async used(secret: Pick<Secret, 'id' | 'lastUsedAt'>): Promise<void> {
    const now = Date.now();
    if (now - (secret.lastUsedAt ?? 0) < USE_GRAIN) return;
    await this.#db.updateTable('secrets').set({ last_used_at: now }).where('id', '=', secret.id).execute();
  }

  /** Throws `not-found`. What its owner had logged in, with whichever secret, has to log in again. */
  async remove(owner: SecretOwner, id: string, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const { numDeletedRows } = await trx
        .deleteFrom('secrets')
        .where('id', '=', id)
        .where('owner', '=', owner)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw notFound(`${owner} has no secret '${id}'`);
      await revokeTokens(trx, owner);
      await this.#record(trx, actor, [{ action: 'secret.delete', detail: { owner, id } }]);
    });
  }
}

async function expectOwner(trx: RegistryDatabase, owner: SecretOwner): Promise<void> {
  const [kind, name] = owner.split(':') as ['user' | 'robot', string];
  const found = await trx
    .selectFrom(kind === 'user' ? 'users' : 'robots')
    .select('name')
    .where('name', '=', name)
    .executeTakeFirst();
  if (!found) throw notFound(`there is no ${kind} '${name}'`);
}

function toSecret(row: Selectable<RegistrySchema['secrets']>): Secret {
  return {
    id: row.id,
    owner: row.owner as SecretOwner,
    description: row.description,
    permissions: row.permissions === null ? undefined : (JSON.parse(row.permissions) as Permission[]),
    expiresAt: row.expires_at ?? undefined,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at ?? undefined,
  };
}

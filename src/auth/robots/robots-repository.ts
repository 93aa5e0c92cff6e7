import type { Selectable } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RegistrySchema } from '#database/registry/schema.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, notFound } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import type { RecordChange } from '../record-change.ts';
import { removePrincipal, revokeTokens } from '../tokens/revocations-repository.ts';
import type { Robot } from './robot.ts';

export class RobotsRepository {
  readonly #db: RegistryDatabase;
  readonly #record: RecordChange;

  constructor(ports: { db: RegistryDatabase; record: RecordChange }) {
    this.#db = ports.db;
    this.#record = ports.record;
  }

  /** Throws `conflict`. */
  async insert(robot: Pick<Robot, 'name' | 'description' | 'expiresAt'>, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const { numInsertedOrUpdatedRows } = await trx
        .insertInto('robots')
        .values({
          name: robot.name,
          description: robot.description,
          disabled_at: null,
          expires_at: robot.expiresAt ?? null,
          created_at: Date.now(),
          created_by: actor.principal,
        })
        .onConflict((key) => key.column('name').doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows !== 1n) throw conflict(`there is a robot '${robot.name}' already`);
      await this.#record(trx, actor, [{ action: 'robot.create', detail: { robot: robot.name } }]);
    });
  }

  async find(name: string): Promise<Robot | undefined> {
    const row = await this.#db.selectFrom('robots').selectAll().where('name', '=', name).executeTakeFirst();
    return row && toRobot(row);
  }

  async list(options: { limit: number; last?: string | undefined }): Promise<Robot[]> {
    const rows = await this.#db
      .selectFrom('robots')
      .selectAll()
      .where('name', '>', options.last ?? '')
      .orderBy('name')
      .limit(options.limit)
      .execute();
    return rows.map(toRobot);
  }

  /** Throws `not-found`. Being disabled, and an end that is set anew, end what was logged in. */
  async update(
    name: string,
    change: {
      description?: string | undefined;
      disabled?: boolean | undefined;
      expiresAt?: number | null | undefined;
    },
    actor: Actor,
  ): Promise<void> {
    const values = {
      ...(change.description !== undefined && { description: change.description }),
      ...(change.disabled !== undefined && { disabled_at: change.disabled ? Date.now() : null }),
      ...(change.expiresAt !== undefined && { expires_at: change.expiresAt }),
    };
    await inTransaction(this.#db, async (trx) => {
      if (Object.keys(values).length > 0) {
        const { numUpdatedRows } = await trx
          .updateTable('robots')
          .set(values)
          .where('name', '=', name)
          .executeTakeFirst();
        if (numUpdatedRows === 0n) throw unknownRobot(name);
      }
      if (change.disabled || typeof change.expiresAt === 'number') await revokeTokens(trx, `robot:${name}`);
      await this.#record(trx, actor, [{ action: 'robot.update', detail: { robot: name, ...change } }]);
    });
  }

  /** Throws `not-found`. Nothing that was the robot's is left. */
  async remove(name: string, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const { numDeletedRows } = await trx.deleteFrom('robots').where('name', '=', name).executeTakeFirst();
      if (numDeletedRows === 0n) throw unknownRobot(name);
      await removePrincipal(trx, `robot:${name}`);
      await this.#record(trx, actor, [{ action: 'robot.delete', detail: { robot: name } }]);
    });
  }
}

export function unknownRobot(name: string) {
  return notFound(`there is no robot '${name}'`);
}

function toRobot(row: Selectable<RegistrySchema['robots']>): Robot {
  return {
    name: row.name,
    description: row.description,
    disabled: row.disabled_at !== null,
    expiresAt: row.expires_at ?? undefined,
    createdAt: row.created_at,
    createdBy: row.created_by,
  };
}

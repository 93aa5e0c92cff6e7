import { sql } from 'kysely';
import { statement } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { forbidden, invalid, notFound } from '#errors/errors.ts';
import { isRepositoryName, type RepositoryName } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';

/** Stands for every namespace that has no quota of its own. */
export const DEFAULT_QUOTA = '*';

export interface NamespaceUsage {
  readonly namespace: string;
  /** Bytes of its distinct blobs. */
  readonly used: number;
  /** In bytes; undefined without a quota. */
  readonly limit: number | undefined;
}

/** What a quota is for: the first segment of a repository's name. */
export function namespaceOf(repository: RepositoryName): string {
  return repository.split('/', 1)[0]!;
}

const selectRoom = statement<RegistryDatabase, { namespace: string }, { bytes: number; used: number }>(
  (db, parameter) =>
    db
      .selectFrom('quotas')
      .select((quotas) => [
        'quotas.bytes',
        quotas
          .selectFrom('namespace_usage')
          .select(sql<number>`cast(coalesce(sum(bytes), 0) as bigint)`.as('used'))
          .where('namespace_usage.namespace', '=', parameter('namespace'))
          .as('used'),
      ])
      .where('quotas.namespace', 'in', [parameter('namespace'), DEFAULT_QUOTA])
      .orderBy(sql`case when quotas.namespace = ${sql.lit(DEFAULT_QUOTA)} then 1 else 0 end`)
      // As a parameter it would have SQLite plan the query anew each time.
      .limit(sql.lit(1))
      .$castTo<{ bytes: number; used: number }>(),
);

/**
 * The bytes that a repository's namespace may still take, undefined without a quota. Inside a transaction what that
 * one added counts; what others add at the same time does not: pushes do not wait for each other, and together may go
 * past the quota by what they bring at once.
 */
export async function roomFor(db: RegistryDatabase, repository: RepositoryName): Promise<number | undefined> {
  const { rows } = await selectRoom(db, { namespace: namespaceOf(repository) });
  const [quota] = rows;
  return quota && quota.bytes - Number(quota.used);
}

/** Throws `forbidden` when the namespace holds more than it may. */
export async function requireQuota(db: RegistryDatabase, repository: RepositoryName): Promise<void> {
  const room = await roomFor(db, repository);
  if (room !== undefined && room < 0) throw quotaExceeded(repository);
}

/** Docker shows its user the message of a `DENIED`. */
export function quotaExceeded(repository: RepositoryName) {
  const namespace = namespaceOf(repository);
  return forbidden(`quota exceeded: namespace ${namespace} has no room for this push`, {
    code: 'DENIED',
    detail: { namespace },
  });
}

/** Quotas, and what namespaces use of them. */
export class QuotasRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Bytes that the repository's namespace may still take; undefined without a quota. */
  room(repository: RepositoryName): Promise<number | undefined> {
    return roomFor(this.#db, repository);
  }

  /** Throws `invalid` for what cannot be a namespace. */
  async set(namespace: string, bytes: number, actor: Actor): Promise<void> {
    if (namespace !== DEFAULT_QUOTA && !(isRepositoryName(namespace) && !namespace.includes('/'))) {
      throw invalid(`${JSON.stringify(namespace.slice(0, 200))}: expected a namespace such as team, or *`);
    }
    const updated_at = Date.now();
    await inTransaction(this.#db, async (trx) => {
      await trx
        .insertInto('quotas')
        .values({ namespace, bytes, updated_at })
        .onConflict((conflict) => conflict.column('namespace').doUpdateSet({ bytes, updated_at }))
        .execute();
      await recordEvents(trx, actor, [{ action: 'quota.set', detail: { namespace, bytes } }]);
    });
  }

  /** Throws `not-found`. */
  async remove(namespace: string, actor: Actor): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const result = await trx.deleteFrom('quotas').where('namespace', '=', namespace).executeTakeFirst();
      if (result.numDeletedRows === 0n) throw notFound(`no quota for ${namespace}`);
      await recordEvents(trx, actor, [{ action: 'quota.remove', detail: { namespace } }]);
    });
  }

  /** The namespaces that hold something or have a quota of their own, by name, after `last`. */
  async list(limit: number, last = ''): Promise<NamespaceUsage[]> {
    const names = this.#db
      .selectFrom('namespace_usage')
      .select('namespace')
      .union(this.#db.selectFrom('quotas').select('namespace'));
    const rows = await this.#db
      .selectFrom(names.as('names'))
      .leftJoin('quotas as own', 'own.namespace', 'names.namespace')
      .select((names) => [
        'names.namespace',
        'own.bytes as own',
        names.selectFrom('quotas').select('bytes').where('namespace', '=', DEFAULT_QUOTA).as('default'),
        names
          .selectFrom('namespace_usage as usage')
          .select(sql<number>`cast(coalesce(sum(bytes), 0) as bigint)`.as('used'))
          .whereRef('usage.namespace', '=', 'names.namespace')
          .as('used'),
      ])
      .where('names.namespace', '>', last)
      .orderBy('names.namespace')
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      namespace: row.namespace,
      used: Number(row.used ?? 0),
      limit: row.own ?? row.default ?? undefined,
    }));
  }
}

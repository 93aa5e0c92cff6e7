import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { WorkerContent } from '../workers/worker-content.ts';

/** What is kept of a worker's images. */
export interface KnownContent {
  /** By their IDs: the beginnings of their layers' diff IDs, bottom first. */
  readonly images: Readonly<Record<string, readonly string[]>>;
  /** What names mean there, and since when, by the database's clock: those of workers may be wrong. */
  readonly names: Readonly<Record<string, { readonly id: string; readonly since: number }>>;
}

/** The images of workers. A worker's content is read anew by whoever was overtaken, so that an older one never comes last. */
export class WorkerContentsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Versions, by the workers' names. */
  async versions(tenant: string): Promise<Map<string, number>> {
    const rows = await this.#db
      .selectFrom('worker_contents')
      .select(['worker', 'version'])
      .where('tenant', '=', tenant)
      .execute();
    return new Map(rows.map(({ worker, version }) => [worker, version]));
  }

  /** 0 for a worker that nothing is known of. */
  async version(worker: string, tenant: string): Promise<number> {
    return (await this.read(worker, tenant))?.version ?? 0;
  }

  async read(
    worker: string,
    tenant: string,
  ): Promise<{ version: number; content: KnownContent } | undefined> {
    const row = await this.#db
      .selectFrom('worker_contents')
      .select(['version', 'content'])
      .where('worker', '=', worker)
      .where('tenant', '=', tenant)
      .executeTakeFirst();
    return row && { version: row.version, content: JSON.parse(row.content) };
  }

  /** Keeps what was read of a worker after `base` was its version; false when another one came in between. */
  async keep(worker: string, tenant: string, base: number, content: WorkerContent): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      if (base === 0) await begin(trx, worker, tenant);
      // Locks the row.
      const locked = await trx
        .updateTable('worker_contents')
        .set({ version: sql<number>`version` })
        .where('worker', '=', worker)
        .where('tenant', '=', tenant)
        .where('version', '=', base)
        .returning('content')
        .executeTakeFirst();
      if (!locked) return false;
      const { now } = await trx.selectNoFrom(databaseNow(trx).as('now')).executeTakeFirstOrThrow();
      const next = JSON.stringify(known(content, JSON.parse(locked.content), base === 0, now));
      if (next === locked.content && base > 0) return true;
      await trx
        .updateTable('worker_contents')
        .set({ version: base + 1, content: next })
        .where('worker', '=', worker)
        .where('tenant', '=', tenant)
        .execute();
      return true;
    });
  }
}

async function begin(trx: PoolDatabase, worker: string, tenant: string): Promise<void> {
  await trx
    .insertInto('worker_contents')
    .values({ worker, tenant, version: 0, content: '{"images":{},"names":{}}' })
    .onConflict((conflict) => conflict.columns(['worker', 'tenant']).doNothing())
    .execute();
}

/** What is new has its meaning since now; what a worker brings into the pool, since it says, if that is not to come. */
function known(content: WorkerContent, before: KnownContent, isFirst: boolean, now: number): KnownContent {
  const names: Record<string, { id: string; since: number }> = {};
  for (const { id, names: own } of content.images) {
    for (const { name, taggedAt } of own) {
      const earlier = before.names[name];
      const since = earlier?.id === id ? earlier.since : isFirst ? Math.min(taggedAt, now) : now;
      names[name] = { id, since };
    }
  }
  return { images: Object.fromEntries(content.images.map(({ id, layers }) => [id, layers])), names };
}

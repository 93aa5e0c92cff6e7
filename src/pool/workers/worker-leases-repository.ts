import { randomUUID } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { WorkersTable } from '#database/pool/workers-schema.ts';
import { inTransaction } from '#database/transaction.ts';
import type { Claimant } from '../jobs/job.ts';

/** What a worker can do, as it says itself. */
export interface WorkerOffer {
  /** `linux/amd64`: what its processor runs. */
  readonly platforms: readonly string[];
  /** What it runs by emulation besides. */
  readonly emulates?: readonly string[] | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly cpus: number;
  /** In bytes. */
  readonly memory: number;
  /** How many builds it does at once. */
  readonly builds?: number | undefined;
}

export interface PoolWorker extends Claimant {
  readonly name: string;
  /** `host:port` */
  readonly address: string;
  readonly state: 'ready' | 'draining' | 'lost';
  readonly offer: WorkerOffer;
}

/**
 * The pool's workers, and which of them are alive: one has a lease that it keeps by renewing it, under an epoch that
 * grows whenever the lease changes hands. What is done in the name of an earlier epoch has no effect (fencing).
 */
export class WorkerLeasesRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Gives a worker a lease under a new epoch; one of this name that was here before is lost to it. */
  async acquire(
    worker: { name: string; address: string; offer: WorkerOffer },
    duration: number,
  ): Promise<Claimant> {
    const now = databaseNow(this.#db);
    const row = await this.#db
      .insertInto('workers')
      .values({
        id: randomUUID(),
        name: worker.name,
        address: worker.address,
        epoch: 1,
        lease_expires_at: sql<number>`${now} + ${duration}`,
        state: 'ready',
        offer: JSON.stringify(worker.offer),
        joined_at: now,
      })
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet(({ ref }) => ({
          address: ref('excluded.address'),
          epoch: sql<number>`workers.epoch + 1`,
          lease_expires_at: ref('excluded.lease_expires_at'),
          state: sql<'ready' | 'draining'>`case when workers.drained = 1 then 'draining' else 'ready' end`,
          leaving: 0,
          offer: ref('excluded.offer'),
        })),
      )
      .returning(['id', 'epoch'])
      .executeTakeFirstOrThrow();
    return { worker: row.id, epoch: row.epoch };
  }

  /**
   * Keeps a lease for `duration` more milliseconds; false when it was taken away. One that is `leaving` gets nothing new
   * from then on.
   */
  async renew({ worker, epoch }: Claimant, duration: number, leaving = false): Promise<boolean> {
    const result = await this.#db
      .updateTable('workers')
      .set({
        lease_expires_at: sql<number>`${databaseNow(this.#db)} + ${duration}`,
        leaving: leaving ? 1 : 0,
        state: leaving
          ? 'draining'
          : sql<'ready' | 'draining'>`case when drained = 1 then 'draining' else 'ready' end`,
      })
      .where('id', '=', worker)
      .where('epoch', '=', epoch)
      .where('state', '!=', 'lost')
      .executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  /** Whether a worker is to get nothing new, until that is taken back; false when there is none of that name. */
  async drain(name: string, drained: boolean): Promise<boolean> {
    const open = drained
      ? 'draining'
      : sql<'ready' | 'draining'>`case when leaving = 1 then 'draining' else 'ready' end`;
    const result = await this.#db
      .updateTable('workers')
      .set({
        drained: drained ? 1 : 0,
        state: sql<'ready' | 'draining' | 'lost'>`case when state = 'lost' then 'lost' else ${open} end`,
      })
      .where('name', '=', name)
      .executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  /**
   * Takes the leases away that ran out, one worker after the other, and has `release` deal with what it had in the same
   * transaction.
   */
  async expire(release: (trx: PoolDatabase, lost: Claimant) => Promise<unknown>): Promise<Claimant[]> {
    const overdue = await this.#db
      .selectFrom('workers')
      .select(['id', 'epoch'])
      .where('state', '!=', 'lost')
      .where('lease_expires_at', '<=', databaseNow(this.#db))
      .execute();
    const lost: Claimant[] = [];
    for (const { id, epoch } of overdue) {
      const taken = await inTransaction(this.#db, async (trx) => {
        const result = await trx
          .updateTable('workers')
          .set({ state: 'lost', epoch: epoch + 1 })
          .where('id', '=', id)
          .where('epoch', '=', epoch)
          .where('state', '!=', 'lost')
          .where('lease_expires_at', '<=', databaseNow(trx))
          .executeTakeFirst();
        if (result.numUpdatedRows === 0n) return false;
        await release(trx, { worker: id, epoch });
        return true;
      });
      if (taken) lost.push({ worker: id, epoch });
    }
    return lost;
  }

  async list(): Promise<PoolWorker[]> {
    const rows = await this.#db.selectFrom('workers').selectAll().orderBy('name').execute();
    return rows.map(workerOf);
  }

  async find(name: string): Promise<PoolWorker | undefined> {
    const row = await this.#db.selectFrom('workers').selectAll().where('name', '=', name).executeTakeFirst();
    return row && workerOf(row);
  }
}

function workerOf({ id, epoch, name, address, state, offer }: Selectable<WorkersTable>): PoolWorker {
  return { worker: id, epoch, name, address, state, offer: JSON.parse(offer) };
}

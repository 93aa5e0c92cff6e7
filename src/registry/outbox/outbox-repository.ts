import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { RecordedEvent } from '../events/recorded-event.ts';

export type DeliveryState = 'pending' | 'delivered' | 'dead';

/** Something to be done about an event. */
export interface Delivery {
  readonly id: number;
  readonly consumer: string;
  readonly event: RecordedEvent;
  readonly state: DeliveryState;
  /** How often it was tried, the attempt under way included. */
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly dueAt: number;
  readonly result: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** How many rows one statement takes. */
const BATCH = 500;

/**
 * How far each consumer of events has read, and what it has yet to do. Every step is a compare-and-set: several
 * processes may take them at once, and a delivery is with one of them at a time.
 */
export class OutboxRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Makes a consumer known, reading from `cursor`; one that is known goes on where it is. */
  async subscribe(consumer: string, cursor: string): Promise<void> {
    await this.#db
      .insertInto('event_consumers')
      .values({ name: consumer, cursor })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute();
  }

  /** Forgets a consumer with all of its deliveries. */
  async unsubscribe(consumer: string): Promise<void> {
    await this.#db.deleteFrom('event_consumers').where('name', '=', consumer).execute();
  }

  async cursorOf(consumer: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('event_consumers')
      .select('cursor')
      .where('name', '=', consumer)
      .executeTakeFirst();
    return row?.cursor;
  }

  /** Puts a consumer's cursor elsewhere: what is between it does not hear of. */
  async moveTo(consumer: string, cursor: string): Promise<void> {
    await this.#db.updateTable('event_consumers').set({ cursor }).where('name', '=', consumer).execute();
  }

  /**
   * Moves a consumer's cursor and puts down what it has to do about the events between, in one step. False when the
   * cursor is not at `from`: another process was here.
   */
  async advance(
    consumer: string,
    step: { from: string; to: string; events: readonly RecordedEvent[] },
  ): Promise<boolean> {
    const now = Date.now();
    return await inTransaction(this.#db, async (trx) => {
      const moved = await trx
        .updateTable('event_consumers')
        .set({ cursor: step.to })
        .where('name', '=', consumer)
        .where('cursor', '=', step.from)
        .executeTakeFirst();
      if (moved.numUpdatedRows === 0n) return false;
      await insert(trx, consumer, step.events, now);
      return true;
    });
  }

  /** Puts down something to do that no event asks for. */
  async enqueue(consumer: string, events: readonly RecordedEvent[]): Promise<void> {
    await inTransaction(this.#db, (trx) => insert(trx, consumer, events, Date.now()));
  }

  /**
   * Takes up to `limit` deliveries that are due, oldest first; until `until` nobody else gets them. A process that
   * dies with one leaves it to be tried again.
   */
  async claim(consumer: string, limit: number, until: number): Promise<Delivery[]> {
    const now = Date.now();
    return await inTransaction(this.#db, async (trx) => {
      const due = await trx
        .selectFrom('event_deliveries')
        .selectAll()
        .where('consumer', '=', consumer)
        .where('state', '=', 'pending')
        .where('due_at', '<=', now)
        .orderBy('due_at')
        .orderBy('id')
        .limit(limit)
        .execute();
      const claimed: Delivery[] = [];
      for (const row of due) {
        const attempts = row.attempts + 1;
        const taken = await trx
          .updateTable('event_deliveries')
          .set({ attempts, due_at: until, updated_at: now })
          .where('id', '=', row.id)
          .where('attempts', '=', row.attempts)
          .where('state', '=', 'pending')
          .executeTakeFirst();
        if (taken.numUpdatedRows === 1n) claimed.push(deliveryOf({ ...row, attempts }));
      }
      return claimed;
    });
  }

  /** Keeps a claim for longer; false when it is lost. */
  async renew(delivery: Pick<Delivery, 'id' | 'attempts'>, until: number): Promise<boolean> {
    const renewed = await this.#db
      .updateTable('event_deliveries')
      .set({ due_at: until })
      .where('id', '=', delivery.id)
      .where('attempts', '=', delivery.attempts)
      .where('state', '=', 'pending')
      .executeTakeFirst();
    return renewed.numUpdatedRows === 1n;
  }

  /** Whether there is anything due, without the cost of a claim. */
  async hasDue(consumer: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('event_deliveries')
      .select('id')
      .where('consumer', '=', consumer)
      .where('state', '=', 'pending')
      .where('due_at', '<=', Date.now())
      .limit(1)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** Ends an attempt; nothing happens when the delivery is another's by now. */
  async settle(
    delivery: Pick<Delivery, 'id' | 'attempts'>,
    outcome: { state: DeliveryState; dueAt?: number; result: string },
  ): Promise<void> {
    const now = Date.now();
    await this.#db
      .updateTable('event_deliveries')
      .set({ state: outcome.state, due_at: outcome.dueAt ?? now, result: outcome.result, updated_at: now })
      .where('id', '=', delivery.id)
      .where('attempts', '=', delivery.attempts)
      .where('state', '=', 'pending')
      .execute();
  }

  /** Has a delivery tried again from the first attempt on, whatever became of it; false when there is none. */
  async redeliver(consumer: string, id: number): Promise<boolean> {
    const now = Date.now();
    const result = await this.#db
      .updateTable('event_deliveries')
      .set({ state: 'pending', attempts: 0, due_at: now, updated_at: now })
      .where('id', '=', id)
      .where('consumer', '=', consumer)
      .executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  /** Newest first, before the delivery `before`. */
  async list(
    consumer: string,
    options: { state?: DeliveryState | undefined; before?: number | undefined; limit: number },
  ): Promise<Delivery[]> {
    let query = this.#db
      .selectFrom('event_deliveries')
      .selectAll()
      .where('consumer', '=', consumer)
      .orderBy('id', 'desc')
      .limit(options.limit);
    if (options.state !== undefined) query = query.where('state', '=', options.state);
    if (options.before !== undefined) query = query.where('id', '<', options.before);
    return (await query.execute()).map(deliveryOf);
  }

  /** How many deliveries are in each state. */
  async counts(consumer: string): Promise<Record<DeliveryState, number>> {
    const rows = await this.#db
      .selectFrom('event_deliveries')
      .select(({ fn }) => ['state', fn.countAll().as('count')])
      .where('consumer', '=', consumer)
      .groupBy('state')
      .execute();
    const counts = { pending: 0, delivered: 0, dead: 0 };
    for (const { state, count } of rows) counts[state] = Number(count);
    return counts;
  }

  /** Deletes up to a batch of deliveries that were settled before; the number of them. */
  async prune(before: Date): Promise<number> {
    const old = this.#db
      .selectFrom('event_deliveries')
      .select('id')
      .where('state', 'in', ['delivered', 'dead'])
      .where('updated_at', '<', before.getTime())
      .limit(BATCH);
    const result = await this.#db.deleteFrom('event_deliveries').where('id', 'in', old).executeTakeFirst();
    return Number(result.numDeletedRows);
  }
}

async function insert(
  trx: RegistryDatabase,
  consumer: string,
  events: readonly RecordedEvent[],
  now: number,
): Promise<void> {
  for (let start = 0; start < events.length; start += BATCH) {
    const rows = events.slice(start, start + BATCH).map((event) => ({
      consumer,
      event: JSON.stringify(event),
      state: 'pending' as const,
      attempts: 0,
      due_at: now,
      result: null,
      created_at: now,
      updated_at: now,
    }));
    await trx.insertInto('event_deliveries').values(rows).execute();
  }
}

function deliveryOf(row: {
  id: number;
  consumer: string;
  event: string;
  state: DeliveryState;
  attempts: number;
  due_at: number;
  result: string | null;
  created_at: number;
  updated_at: number;
}): Delivery {
  const { due_at: dueAt, created_at: createdAt, updated_at: updatedAt, event, ...rest } = row;
  return { ...rest, dueAt, createdAt, updatedAt, event: JSON.parse(event) };
}

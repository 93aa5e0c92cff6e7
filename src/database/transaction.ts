import { setTimeout as sleep } from 'node:timers/promises';
import type { Kysely, Transaction } from 'kysely';
import { failureBehind } from './postgres-error.ts';

const ATTEMPTS = 6;
/** In milliseconds. */
const FIRST_PAUSE = 5;

/**
 * Runs a task in a transaction. On PostgreSQL it runs again when another transaction was in the way (deadlock), or
 * when the connection broke before the commit was asked for; so besides the database it changes nothing. Inside a
 * transaction it is part of that one. Throws `unavailable` when that did not help, and what the task throws.
 */
export async function inTransaction<Schema, T>(
  db: Kysely<Schema>,
  task: (trx: Transaction<Schema>) => Promise<T>,
): Promise<T> {
  if (db.isTransaction) return await task(db as Transaction<Schema>);
  for (let attempt = 1; ; attempt++) {
    let asked = false;
    try {
      return await db.transaction().execute(async (trx) => {
        const result = await task(trx);
        asked = true;
        return result;
      });
    } catch (error) {
      if (attempt === ATTEMPTS || !mayRepeat(error, asked)) throw error;
      // Those that were in each other's way should not meet again.
      await sleep(Math.random() * FIRST_PAUSE * 2 ** attempt);
    }
  }
}

/** Whether nothing of it can have been committed, and it may well be the next time. */
function mayRepeat(error: unknown, commitAsked: boolean): boolean {
  const failure = failureBehind(error);
  return failure === 'conflict' || (failure === 'connection' && !commitAsked);
}

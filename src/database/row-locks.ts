import type { Kysely, SelectQueryBuilder } from 'kysely';
import { isPostgres } from './dialect.ts';

interface RowLock {
  /** `update`: to delete or change the rows. `key share`: they have to stay, whoever else wants them to. */
  readonly mode: 'update' | 'key share';
  /** Leaves out rows that others hold, instead of waiting for them. */
  readonly skipLocked?: boolean;
}

/**
 * Holds the rows that a query finds until its transaction ends. What the rows' neighbours say is to be asked by a
 * later statement: under READ COMMITTED only that one sees what was committed while this one waited. In SQLite a
 * transaction that writes is alone from its beginning, so there is nothing to add.
 */
export function lockRows<DB, TB extends keyof DB, O>(
  trx: Kysely<DB>,
  query: SelectQueryBuilder<DB, TB, O>,
  { mode, skipLocked = false }: RowLock,
): SelectQueryBuilder<DB, TB, O> {
  if (!isPostgres(trx)) return query;
  const locked = mode === 'update' ? query.forUpdate() : query.forKeyShare();
  return skipLocked ? locked.skipLocked() : locked;
}

import type { LogEvent } from 'kysely';
import type { Operations } from '#observability/operations.ts';

/** Kysely's log as measurements: each query by what it does. Its text and parameters stay out of it. */
export function queryLog(operations: Operations): (event: LogEvent) => void {
  return ({ level, query, queryDurationMillis }) => {
    const operation = OPERATIONS[query.query.kind] ?? 'other';
    operations.ended(operation, queryDurationMillis, level === 'error' ? 'failed' : 'done');
  };
}

const OPERATIONS: Readonly<Record<string, string>> = {
  SelectQueryNode: 'select',
  InsertQueryNode: 'insert',
  UpdateQueryNode: 'update',
  DeleteQueryNode: 'delete',
};

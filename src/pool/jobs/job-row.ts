import type { Selectable } from 'kysely';
import type { PoolSchema } from '#database/pool/schema.ts';
import type { Job } from './job.ts';

export function jobOf(row: Selectable<PoolSchema['jobs']>): Job {
  return {
    id: row.public_id,
    tenant: row.tenant,
    confined: row.confined === 1,
    pipeline: row.pipeline,
    name: row.name,
    kind: row.kind,
    spec: JSON.parse(row.spec),
    priority: row.priority,
    state: row.state,
    attempt: row.attempt,
    worker: row.worker,
    cancelReason: row.cancel_reason,
    result: row.result === null ? null : JSON.parse(row.result),
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

import type { NewJob } from '#pool/jobs/job.ts';

/** What a worker offers its pool. */
export const OFFER = { platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 2 ** 30 };

/** A job of tenant `a` that any worker may do. */
export function newJob(changes: Partial<NewJob> = {}): NewJob {
  return {
    tenant: 'a',
    name: 'j',
    kind: 'run',
    spec: {},
    requirement: '',
    priority: 0,
    maxAttempts: 3,
    timeout: 60_000,
    ...changes,
  };
}

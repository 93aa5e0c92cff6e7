import { messageOf } from '#errors/errors.ts';
import { checkJob } from '../tenants/check-job.ts';
import type { TenantIdentity } from '../tenants/tenant-header.ts';
import { type Attempt, JobFailure, type JobRunner, type Made } from './job-runner.ts';

/** Does jobs of a kind that tenants have asked for: each in its tenant's own engine, and held to its policy. */
export class ConfinedRunner implements JobRunner {
  readonly #kind: string;
  readonly #runnerOf: (tenant: TenantIdentity) => Promise<JobRunner>;

  /** `runnerOf`: what does the jobs of a tenant on this worker. */
  constructor(kind: string, runnerOf: (tenant: TenantIdentity) => Promise<JobRunner>) {
    this.#kind = kind;
    this.#runnerOf = runnerOf;
  }

  async run(attempt: Attempt): Promise<Made> {
    const { confinedTo, spec } = attempt.job;
    if (!confinedTo) throw new JobFailure('whose job this is was not said');
    try {
      checkJob(this.#kind, spec, confinedTo.policy);
    } catch (error) {
      throw new JobFailure(messageOf(error), {}, error);
    }
    return await (await this.#runnerOf(confinedTo)).run(attempt);
  }
}

import { notFound } from '#errors/errors.ts';
import { checkJob } from '../tenants/check-job.ts';
import { ownName } from '../tenants/own-name.ts';
import type { TenantIdentity } from '../tenants/tenant-header.ts';
import { checkSubmission } from '../tenants/tenant-rules.ts';
import type { Job } from './job.ts';
import type { Jobs, Submission, Submitted } from './jobs.ts';

/** What is done with jobs by those who ask for them, whoever they are. */
export type AskedJobs = Pick<
  Jobs,
  'submit' | 'find' | 'list' | 'ahead' | 'cancel' | 'retry' | 'remove' | 'addContext'
>;

/** The pool's jobs as one tenant's clients see them: those that they have asked for, and no others. */
export class TenantJobs implements AskedJobs {
  readonly #jobs: Jobs;
  readonly #identity: () => TenantIdentity;

  /** `identity`: with the policy as it is. */
  constructor(jobs: Jobs, identity: () => TenantIdentity) {
    this.#jobs = jobs;
    this.#identity = identity;
  }

  /** Throws as that of `Jobs`, `forbidden` for what their policy does not allow, `conflict` when they have too many. */
  async submit(tenant: string, submission: Submission): Promise<Submitted> {
    const identity = this.#identity();
    const name = ownName(identity, tenant);
    await checkSubmission(this.#jobs, identity, submission);
    return await this.#jobs.submit(name, submission, { confined: true });
  }

  async find(id: string): Promise<Job[]> {
    const found = await this.#jobs.find(id);
    const { name } = this.#identity();
    // As for what is not there: nobody learns what others have.
    if (found.some(({ tenant, confined }) => tenant !== name || !confined))
      throw notFound(`no such job: ${id}`);
    return found;
  }

  async list(options: Parameters<Jobs['list']>[0]): Promise<Job[]> {
    const name = ownName(this.#identity(), options.tenant);
    return await this.#jobs.list({ ...options, tenant: name, confined: true });
  }

  async ahead(id: string): Promise<number | undefined> {
    await this.find(id);
    return await this.#jobs.ahead(id);
  }

  async cancel(id: string): Promise<void> {
    await this.find(id);
    await this.#jobs.cancel(id);
  }

  async retry(id: string): Promise<void> {
    // What it may may have changed since it was asked for.
    for (const { kind, spec } of await this.find(id)) checkJob(kind, spec, this.#identity().policy);
    await this.#jobs.retry(id);
  }

  async remove(id: string): Promise<void> {
    await this.find(id);
    await this.#jobs.remove(id);
  }

  async addContext(
    tenant: string,
    source: AsyncIterable<Uint8Array>,
  ): Promise<{ digest: string; size: number }> {
    return await this.#jobs.addContext(ownName(this.#identity(), tenant), source);
  }
}

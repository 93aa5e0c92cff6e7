import { conflict, forbidden, notFound } from '#errors/errors.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { Jobs, Submission } from '../jobs/jobs.ts';
import type { ConfinedRules } from '../triggers/triggers.ts';
import { checkJob } from './check-job.ts';
import type { TenantAccessRepository } from './tenant-access-repository.ts';
import type { TenantIdentity } from './tenant-header.ts';
import { allowsRegistry } from './tenant-policy.ts';

/** So many jobs of one tenant may wait and run. */
const MAX_OPEN = 10_000;

/** Throws `forbidden` for jobs that a tenant may not ask for, `conflict` when it has too many. */
export async function checkSubmission(
  jobs: Pick<Jobs, 'countOpen'>,
  { name, policy }: TenantIdentity,
  submission: Submission,
): Promise<void> {
  const requests = submission.kind === 'pipeline' ? Object.values(submission.jobs) : [submission];
  for (const request of requests) {
    checkJob(request.kind, request.kind === 'build' ? request.build : request.run, policy);
    // A priority is above all turns: it is for the operator to say whose work is more urgent.
    if (request.priority > 0) throw forbidden('a tenant’s jobs have priorities up to 0');
  }
  if ((await jobs.countOpen(name)) + requests.length > MAX_OPEN) {
    throw conflict(`a tenant may have ${MAX_OPEN} jobs that are not over`);
  }
}

/** What tenants may by the policies that they have now, for what asks for jobs in their name. */
export class TenantRules implements ConfinedRules {
  readonly #jobs: Pick<Jobs, 'countOpen'>;
  readonly #access: TenantAccessRepository;

  constructor(ports: { jobs: Pick<Jobs, 'countOpen'>; access: TenantAccessRepository }) {
    this.#jobs = ports.jobs;
    this.#access = ports.access;
  }

  async checkSubmission(tenant: string, submission: Submission): Promise<void> {
    await checkSubmission(this.#jobs, await this.#identity(tenant), submission);
  }

  async checkImage(tenant: string, image: string): Promise<void> {
    const { domain } = parseImageReference(image);
    const { policy } = await this.#identity(tenant);
    if (!allowsRegistry(policy, domain)) {
      throw forbidden(`your tenant's policy does not allow the registry ${domain}`);
    }
  }

  async #identity(name: string): Promise<TenantIdentity> {
    const identity = (await this.#access.identities([name])).get(name);
    if (!identity) throw notFound(`there is no tenant '${name}'`);
    return identity;
  }
}

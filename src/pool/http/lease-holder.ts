import { unauthorized } from '#errors/errors.ts';
import type { Claimant } from '../jobs/job.ts';
import type { PoolWorker, WorkerLeasesRepository } from '../workers/worker-leases-repository.ts';

/** A worker whose lease is the current one: what an earlier process of it says does not count. Throws `unauthorized`. */
export async function holderOf(
  leases: Pick<WorkerLeasesRepository, 'list'>,
  { worker, epoch }: Claimant,
): Promise<PoolWorker> {
  const found = (await leases.list()).find((each) => each.worker === worker);
  if (found?.epoch === epoch && found.state !== 'lost') return found;
  throw unauthorized('this lease is over');
}

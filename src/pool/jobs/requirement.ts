import { runsNatively } from '../scheduler/fit-for-platforms.ts';
import type { WorkerOffer } from '../workers/worker-leases-repository.ts';

/** What a job's worker has to have. */
export interface Constraints {
  /** `linux/arm64` */
  readonly platform?: string | undefined;
  /** Labels of workers, and the values that they have to have. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Constraints as the queue keeps them: the same text for the same constraints, '' for none. */
export function requirementOf({ platform, labels = {} }: Constraints): string {
  const pairs = Object.entries(labels).toSorted(([one], [other]) => (one < other ? -1 : 1));
  if (platform === undefined && pairs.length === 0) return '';
  return JSON.stringify([platform ?? null, pairs]);
}

/** Whether a worker can do what has this requirement. */
export function meets({ platforms, labels }: WorkerOffer, requirement: string): boolean {
  if (requirement === '') return true;
  const [platform, pairs] = JSON.parse(requirement) as [string | null, [string, string][]];
  if (platform !== null && !runsNatively(platforms, platform)) return false;
  return pairs.every(([name, value]) => Object.hasOwn(labels, name) && labels[name] === value);
}

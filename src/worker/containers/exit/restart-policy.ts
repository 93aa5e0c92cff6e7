import type { ContainerRecord } from '../container.ts';

const FIRST_DELAY = 100;
const LONGEST_DELAY = 60_000;
/** A run of this length counts as a success: the next delay is the first one again. */
const SETTLED_AFTER = 10_000;

/** Whether a container's policy starts it again after this exit. */
export function restartsAfter(record: ContainerRecord, exitCode: number): boolean {
  const { Name, MaximumRetryCount } = record.hostConfig.RestartPolicy;
  if (record.stoppedByUser) return false;
  switch (Name) {
    case 'always':
    case 'unless-stopped':
      return true;
    case 'on-failure':
      return exitCode !== 0 && (MaximumRetryCount === 0 || record.restartCount < MaximumRetryCount);
    default:
      return false;
  }
}

/** Whether a container's policy starts it when the worker starts and finds it ended. */
export function startsWithWorker(record: ContainerRecord): boolean {
  const { Name } = record.hostConfig.RestartPolicy;
  if (!record.startedBefore) return false;
  return Name === 'always' || (Name === 'unless-stopped' && !record.stoppedByUser);
}

/** Milliseconds to wait before the next start: doubling up to a minute. */
export function nextBackoff(previous: number, ranFor: number): number {
  if (previous === 0 || ranFor >= SETTLED_AFTER) return FIRST_DELAY;
  return Math.min(previous * 2, LONGEST_DELAY);
}

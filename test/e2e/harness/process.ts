import { readFileSync } from 'node:fs';

/** Whether a process is there and has not ended (one that ended may wait for its parent to notice). */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\t[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

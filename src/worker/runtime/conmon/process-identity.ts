import { readFileSync } from 'node:fs';

/** A process, safe against its number being given to another: numbers repeat, start times do not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since boot, as /proc/<pid>/stat has it. */
  readonly startTime: number;
}

/** Undefined when there is no such process, or only its zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  // Synchronous, for /proc answers from memory, and between this look and a kill(2) nothing else should run.
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name stands in parentheses and may itself contain any of them.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const state = fields[0];
    return state === 'Z' || state === 'X' ? undefined : { pid, startTime: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime;
}

/** False when that very process is gone. */
export function signalProcess(target: ProcessIdentity, signal: number | NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    return process.kill(target.pid, signal);
  } catch {
    return false;
  }
}

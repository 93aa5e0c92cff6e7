import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '#config/schema.ts';

/** What remains of the time to stop for closing files, once requests were given theirs. */
const RESERVE = 1_000;

/** How long requests under way may go on once the registry takes no more. */
export function requestGrace(config: Pick<Config, 'stopTimeout'>): number {
  return Math.max(config.stopTimeout - RESERVE, config.stopTimeout / 2);
}

/** Says for a while that it is about to stop, and serves on: so that a load balancer sends no more. */
export async function drain(health: { drain(): void }, delay: number): Promise<void> {
  health.drain();
  if (delay > 0) await sleep(delay);
}

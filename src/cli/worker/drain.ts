import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Agent } from '#pool/agent/agent.ts';
import type { Membership } from '#pool/member/membership.ts';

const LOOK = 100;

/**
 * Lets a worker of a pool finish what it is at before it stops: the pool gives it nothing new, its jobs and builds end.
 * Containers go on without it. Resolves after `timeout` milliseconds at the latest.
 */
export async function drainWorker(
  parts: { membership: Membership; agent: Agent; underWay: () => number; log: Logger },
  timeout: number,
): Promise<void> {
  const { membership, agent, underWay, log } = parts;
  const until = performance.now() + timeout;
  await membership.leave();
  const counts = () => ({ jobs: agent.count, builds: underWay() });
  let isDrained = false;
  void agent.drain().then(() => {
    isDrained = true;
  });
  if (agent.count + underWay() > 0) log.info(counts(), 'waiting for what is under way');
  while (!isDrained || underWay() > 0) {
    if (performance.now() > until) return log.warn(counts(), 'not waiting any longer for what is under way');
    await sleep(LOOK);
  }
}

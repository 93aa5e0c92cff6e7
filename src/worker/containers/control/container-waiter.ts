import { invalid } from '#errors/errors.ts';
import type { Container } from '../container.ts';

export const WAIT_CONDITIONS = ['not-running', 'next-exit', 'removed'] as const;
export type WaitCondition = (typeof WAIT_CONDITIONS)[number];

export function parseWaitCondition(text: string | undefined): WaitCondition {
  const condition = WAIT_CONDITIONS.find((known) => known === (text || 'not-running'));
  if (!condition) throw invalid(`invalid condition: ${JSON.stringify(text)}`);
  return condition;
}

/** The exit code, once the condition is met. What has begun to wait when this returns misses nothing. */
export async function waitFor(container: Container, condition: WaitCondition): Promise<number> {
  if (condition === 'removed') {
    await container.removed;
    return container.state.exitCode;
  }
  if (condition === 'not-running' && !container.active) return container.state.exitCode;
  return (await container.exited).code;
}

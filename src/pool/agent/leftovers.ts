import { isKind } from '#errors/errors.ts';
import type { EngineApi } from './engine-api.ts';
import { JOB_LABEL } from './run-runner.ts';

/** Removes containers of jobs that an agent before this one was at: the pool has them done again. */
export async function removeLeftovers(engine: EngineApi): Promise<void> {
  const filters = JSON.stringify({ label: [JOB_LABEL] });
  const found = await engine.ask<{ Id: string }[]>('GET', '/containers/json', {
    query: { all: '1', filters },
  });
  for (const { Id: id } of found) {
    try {
      await engine.ask('DELETE', `/containers/${id}`, { query: { force: '1', v: '1' } });
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
    }
  }
}

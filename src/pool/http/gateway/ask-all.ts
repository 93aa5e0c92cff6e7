import { isKind, unavailable } from '#errors/errors.ts';
import type { EngineContext } from '#worker/http/router.ts';
import { ABSENT, type Answer } from '../../gateway/worker-client.ts';
import type { LivingWorker } from '../../gateway/workers.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { reply } from './pass.ts';

/** What a worker that does not answer in time is left out for: it will have lost its lease soon. */
const PATIENCE = 15_000;

export interface WorkerAnswer extends Answer {
  readonly worker: LivingWorker;
}

/**
 * Asks every worker the same, and resolves to the answers of those that answer, by the workers' names. When one of them
 * refuses, that is the answer to the client, and undefined is returned. Those that have no engine for the client are left out,
 * unless that is all. Throws `unavailable` when none answers.
 */
export async function askAll(
  ctx: EngineContext,
  { workers, client, log }: GatewayParts,
  { method = ctx.method, path = ctx.originalUrl, patience = PATIENCE }: AskOptions = {},
): Promise<WorkerAnswer[] | undefined> {
  const answers = await Promise.all(
    (await workers.some()).map(async (worker) => {
      try {
        return { worker, ...(await client.ask(worker, { method, path, ...(patience > 0 && { patience }) })) };
      } catch (error) {
        if (!isKind(error, 'unavailable')) throw error;
        log.warn({ err: error, worker: worker.name }, 'a worker was left out');
        return undefined;
      }
    }),
  );
  const heard = answers.filter((answer) => answer !== undefined);
  if (heard.length === 0) throw unavailable('no worker of the pool answers');
  for (const { worker, status } of heard) if (status === ABSENT) workers.leaveOut(worker.name);
  const present = heard.filter(({ status }) => status !== ABSENT);
  const refusal = present.length === 0 ? heard[0] : present.find(({ status }) => status >= 300);
  if (!refusal) return present;
  reply(ctx, refusal);
  return undefined;
}

interface AskOptions {
  readonly method?: string;
  readonly path?: string;
  /** Milliseconds; 0 for as long as it takes. */
  readonly patience?: number;
}

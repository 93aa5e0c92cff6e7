import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Wakes } from '#async/wakes.ts';
import type { Claimant } from '../jobs/job.ts';
import {
  MAX_REPORTED,
  type StepClaimsRepository,
  type StepState,
  type StepTry,
} from '../steps/step-claims-repository.ts';
import { parseBody, type WorkerServer } from './worker-server.ts';

/** A worker asks again after that, in milliseconds: it does not wait long for an answer. */
const PATIENCE = 4_000;
/** It is looked at so often: a lease may run out, and a step may take too long to be shared. */
const LOOK = 1_000;
const PRUNE = 60_000;

const word = z.string().min(1).max(512);
const attempt = z.strictObject({ scope: word, key: word, attempt: word });
const report = z.strictObject({
  finished: z.array(word).max(MAX_REPORTED),
  ended: z
    .array(z.strictObject({ attempt: word, outcome: z.enum(['done', 'left', 'failed']) }))
    .max(MAX_REPORTED),
});

interface Ports {
  readonly steps: StepClaimsRepository;
  /** Told when a step is over for which somebody waits. */
  readonly wakes: Wakes;
}

/** What `GatewayStepClaims` asks for. */
export function stepRoutes(server: WorkerServer, { steps, wakes }: Ports): void {
  const on = <T>(what: string, shape: z.ZodType<T>, task: (by: Claimant, body: T) => Promise<unknown>) =>
    server.route(`POST /steps/${what}`, async (req: IncomingMessage, body) => {
      const by = await server.authenticate(req);
      return await task(by, parseBody(shape, body));
    });

  let prunedAt = performance.now();

  on('take', attempt, async (by, asked) => {
    for (;;) {
      const taken = await steps.take(by, asked);
      if (taken) return { state: 'own', again: taken === 'again' };
      const found = await steps.state(asked);
      // It has ended in between.
      if (found.state !== 'free') return found;
    }
  });
  on('wait', attempt, (_by, asked) => changed(asked));
  on('report', report, async ({ worker }, asked) => {
    const wanted = await steps.report(worker, asked, () => wakes.wake());
    if (performance.now() - prunedAt > PRUNE) {
      prunedAt = performance.now();
      await steps.prune();
    }
    return { wanted };
  });

  async function changed(asked: StepTry): Promise<StepState> {
    const { signal } = new AbortController();
    for (let left = PATIENCE; ; left -= LOOK) {
      const seen = wakes.now;
      const found = await steps.state(asked);
      if (found.state !== 'claimed' || found.attempt !== asked.attempt || left <= 0) return found;
      await wakes.after(seen, LOOK, signal);
    }
  }
}

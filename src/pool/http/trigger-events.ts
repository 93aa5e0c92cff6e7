import { PROBLEM_TYPE, problemOf } from '#api/problem.ts';
import { SlipwayError } from '#errors/errors.ts';
import { readBytes } from '#worker/http/body.ts';
import type { EngineRouter } from '#worker/http/router.ts';
import type { Triggers } from '../triggers/triggers.ts';

/**
 * `POST /api/v1/triggers/{id}/events`: what Git hosts and registries send. Its sender is known by the signature alone, so
 * it needs no other identity. Answers 202 with the job that it starts, 200 for what starts none.
 */
export function triggerEvents(router: EngineRouter, triggers: Triggers): void {
  router.post('/api/v1/triggers/:id/events', async (ctx) => {
    try {
      const headers = Object.fromEntries(
        Object.entries(ctx.req.headers).map(([name, value]) => [name, [value].flat()[0]]),
      );
      const id = await triggers.receive(ctx.params.id!, { headers, body: await readBytes(ctx) });
      ctx.status = id === undefined ? 200 : 202;
      ctx.body = id === undefined ? {} : { id };
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      const problem = problemOf(error);
      ctx.status = problem.status;
      ctx.body = problem;
      ctx.type = PROBLEM_TYPE;
    }
  });
}

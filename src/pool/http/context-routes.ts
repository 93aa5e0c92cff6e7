import { refuseForeignPage } from '#api/foreign-page.ts';
import { PROBLEM_TYPE, problemOf } from '#api/problem.ts';
import { SlipwayError } from '#errors/errors.ts';
import { requestBody } from '#worker/http/body.ts';
import type { EngineRouter } from '#worker/http/router.ts';
import type { AskedJobs } from '../jobs/tenant-jobs.ts';

/**
 * `POST /api/v1/job-contexts?tenant=…`: an archive for builds to come, as the body of the request. Answers its digest, by
 * which a build names it.
 */
export function contextRoutes(router: EngineRouter, jobs: Pick<AskedJobs, 'addContext'>): void {
  router.post('/api/v1/job-contexts', async (ctx) => {
    try {
      refuseForeignPage({ method: ctx.method, origin: ctx.get('Origin'), host: ctx.host });
      const { tenant = 'default' } = ctx.query;
      ctx.body = await jobs.addContext([tenant].flat()[0]!, requestBody(ctx));
      ctx.status = 201;
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      const problem = problemOf(error);
      ctx.status = problem.status;
      ctx.body = problem;
      ctx.type = PROBLEM_TYPE;
    }
  });
}

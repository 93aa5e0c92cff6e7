import { PROBLEM_TYPE, problemOf } from '#api/problem.ts';
import { forbidden } from '#errors/errors.ts';
import type { EngineRouter } from '#worker/http/router.ts';

/** Tells tenants what is the pool's operator's alone. */
export function operatorRoutes(router: EngineRouter): void {
  router.all(/^\/api\/v1\/tenants(?:\/.*)?$/, (ctx) => {
    const problem = problemOf(forbidden('tenants are for the operator of the pool, not for tenants'));
    ctx.status = problem.status;
    ctx.body = problem;
    ctx.type = PROBLEM_TYPE;
  });
}

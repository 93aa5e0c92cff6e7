import type { Logger } from 'pino';
import { checkPart, checkTarget } from '#api/check-parts.ts';
import { refuseForeignPage } from '#api/foreign-page.ts';
import { openApiDocument } from '#api/openapi.ts';
import { internalProblem, PROBLEM_TYPE, type Problem, problemOf } from '#api/problem.ts';
import { isKind, notFound, SlipwayError, systemCode, unsupported } from '#errors/errors.ts';
import { readJson } from '../body.ts';
import { requestSignal } from '../request-signal.ts';
import type { EngineContext, EngineRouter } from '../router.ts';
import type { Operation } from './operation.ts';
import { sendLines } from './send-lines.ts';

/** Where it is, on the engine's own address and for whoever may use that. */
const PREFIX = '/api/v1';

/** What a worker is asked for beside the Docker Engine API, and its description at `/api/v1/openapi.json`. */
export function apiRoutes(router: EngineRouter, operations: readonly Operation[], log: Logger): void {
  const document = openApiDocument(operations, {
    description: 'What a worker is asked for beside the Docker Engine API.',
  });
  const serve = (ctx: EngineContext, task: () => Promise<void> | void) => withProblems(ctx, log, task);
  router.get(`${PREFIX}/openapi.json`, (ctx) => {
    ctx.body = document;
  });
  for (const it of operations) {
    router.register(routeOf(it), [it.method], (ctx: EngineContext) => serve(ctx, () => perform(ctx, it)));
  }
  for (const [route, methods] of methodsByRoute(operations)) {
    router.all(route, (ctx) => serve(ctx, () => refuse(ctx, methods)));
  }
  router.all(/^\/api\/v1(?:\/.*)?$/, (ctx) => serve(ctx, () => refuse(ctx, undefined)));
}

async function perform(ctx: EngineContext, it: Operation): Promise<void> {
  ctx.set('Cache-Control', 'no-store');
  refuseForeignPage({ method: ctx.method, origin: ctx.get('Origin'), host: ctx.host });
  const target = checkTarget({ params: ctx.params, query: ctx.query }, it);
  const body = it.body && checkPart('body', it.body, await readJson(ctx));
  const signal = requestSignal(ctx);
  const reply = await it.handle({ ...target, body, signal });
  if (it.lines) return await sendLines(ctx, reply as AsyncIterable<object>, signal);
  ctx.status = it.reply ? (it.status ?? 200) : 204;
  ctx.body = it.reply ? reply : null;
}

/** Turns what is thrown into problems. */
async function withProblems(
  ctx: EngineContext,
  log: Logger,
  task: () => Promise<void> | void,
): Promise<void> {
  try {
    await task();
  } catch (error) {
    const gone =
      isKind(error, 'canceled') || (systemCode(error) === 'ECONNRESET' && ctx.req.socket.destroyed);
    const { requestId } = ctx.state;
    const expected = error instanceof SlipwayError;
    if (!expected && !gone) log.error({ err: error, requestId, path: ctx.path }, 'request failed');
    if (gone || ctx.respond === false) {
      ctx.respond = false;
      ctx.res.destroy();
      return;
    }
    answer(ctx, expected ? problemOf(error) : internalProblem(requestId));
  }
}

function answer(ctx: EngineContext, problem: Problem): void {
  ctx.status = problem.status;
  ctx.body = problem;
  ctx.type = PROBLEM_TYPE;
}

function refuse(ctx: EngineContext, methods: readonly string[] | undefined): never {
  if (!methods) throw notFound('no such endpoint');
  ctx.set('Allow', methods.join(', '));
  throw unsupported(`${ctx.method} is not supported here`);
}

function methodsByRoute(operations: readonly Operation[]): Map<string, string[]> {
  const methods = new Map<string, string[]>();
  for (const it of operations) methods.set(routeOf(it), [...(methods.get(routeOf(it)) ?? []), it.method]);
  return methods;
}

function routeOf({ path }: Operation): string {
  return `${PREFIX}${path.replace(/\{(\w+)\}/g, ':$1')}`;
}

import { Router } from '@koa/router';
import type { Context, Middleware } from 'koa';
import type { Logger } from 'pino';
import { refuseForeignPage } from '#api/foreign-page.ts';
import { openApiDocument } from '#api/openapi.ts';
import { notFound, unsupported } from '#errors/errors.ts';
import { accessOf, actorOf } from '../request-state.ts';
import { checkBody, checkTarget } from './check-request.ts';
import type { Operation } from './operation.ts';
import { permit } from './permission.ts';
import { problems } from './problem.ts';

/** Where the admin API is. */
const PREFIX = '/api/v1';

/**
 * The admin API: every operation, and their description at `/api/v1/openapi.json`. `errors` goes before the
 * authentication, so that its refusals are problems too, `routes` after it. Both leave other paths alone.
 */
export function adminApi(
  operations: readonly Operation[],
  logger: Logger,
): { errors: Middleware; routes: Middleware } {
  const router = new Router({ prefix: PREFIX });
  const document = openApiDocument(operations, {
    description: 'What a registry is administered with. Images are pushed and pulled below /v2/.',
    bearer: 'A token of this registry.',
    callers,
    open: ({ caller }) => caller === 'anyone',
  });
  router.get('/openapi.json', (ctx) => {
    ctx.body = document;
  });
  for (const it of operations) {
    router.register(it.path.replace(/\{(\w+)\}/g, ':$1'), [it.method], (ctx: Context) => perform(ctx, it));
  }
  const [errors, matched] = [problems(logger), router.routes()];
  return {
    errors: (ctx, next) => (isBelow(ctx) ? errors(ctx, next) : next()),
    async routes(ctx, next) {
      if (!isBelow(ctx)) return await next();
      ctx.set('Cache-Control', 'no-store');
      await matched(ctx as never, async () => refuse(ctx, router));
    },
  };
}

async function perform(ctx: Context, it: Operation): Promise<void> {
  refuseForeignPage({ method: ctx.method, origin: ctx.get('Origin'), host: ctx.host });
  const access = accessOf(ctx);
  // Strangers do not learn what a request would have to look like.
  if (it.caller === 'admin') permit(ctx, 'admin', { params: {}, query: {}, access });
  const target = { ...checkTarget(ctx, it), access };
  permit(ctx, it.caller, target);
  const body = await checkBody(ctx, it);
  const reply = await it.handle({ ...target, body, actor: actorOf(ctx), signal: goneSignal(ctx) });
  if (!it.reply) {
    ctx.status = 204;
    return;
  }
  ctx.status = it.status ?? 200;
  ctx.body = reply;
  ctx.type = 'application/json';
}

/** Who may call it, as its description says. */
function callers({ caller }: Operation): string {
  if (caller === 'anyone') return 'everyone, who sees what is theirs to see';
  if (caller === 'admin') return 'administrators';
  if ('namespace' in caller) return 'administrators of the namespace';
  return `those who may ${caller.action} the repository`;
}

function isBelow(ctx: Context): boolean {
  return ctx.path.startsWith(`${PREFIX}/`) || ctx.path === PREFIX;
}

function refuse(ctx: Context, router: Router): never {
  const allowed = new Set(router.match(ctx.path, ctx.method).path.flatMap((layer) => layer.methods));
  if (allowed.size === 0) throw notFound('no such endpoint');
  ctx.set('Allow', [...allowed].join(', '));
  throw unsupported(`${ctx.method} is not supported here`);
}

function goneSignal(ctx: Context): AbortSignal {
  const gone = new AbortController();
  ctx.res.once('close', () => {
    if (!ctx.res.writableFinished) gone.abort();
  });
  return gone.signal;
}

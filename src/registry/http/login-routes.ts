import { Router } from '@koa/router';
import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import type { Login } from '#auth/login.ts';
import type { Logins } from '#auth/logins.ts';
import type { PeopleLogins } from '#auth/oidc/people-logins.ts';
import type { Secrets } from '#auth/secrets/secrets.ts';
import type { TokenService } from '#auth/tokens/token-service.ts';
import { forbidden, invalid, notFound, unauthorized } from '#errors/errors.ts';
import { queryValue } from './parameters.ts';
import { readBody } from './request-body.ts';
import { originOf } from './request-state.ts';
import { scopesOf, tokenReply } from './token-routes.ts';

export interface LoginRoutesOptions {
  readonly tokens: TokenService;
  readonly logins: Logins;
  readonly secrets: Secrets;
  /** By an OpenID provider, if there is one. */
  readonly people: PeopleLogins | undefined;
  /** Where clients reach this, if that is not where a request went. */
  readonly origin: string | undefined;
  /** How long someone stays logged in with a browser, in milliseconds. */
  readonly sessionLife: number;
}

const BEGUN = 'slipway_login';
const SESSION = 'slipway_session';
const MAX_BODY = 16 * 1024;

const personalToken = z.strictObject({
  description: z.string(),
  expiresAt: z.number().optional(),
  permissions: z.array(z.strictObject({ pattern: z.string(), actions: z.array(z.string()) })).optional(),
});

/**
 * Logs people in with a browser, and gives them what other clients can use: short-lived access tokens, and personal
 * access tokens that are passwords of `docker login`. A session is a cookie that no script sees and no other site
 * can make a browser send along with a POST.
 */
export function loginRoutes(options: LoginRoutesOptions): Middleware {
  const { tokens, logins, secrets, people } = options;
  const router = new Router();
  const redirectUri = (ctx: Context) => `${options.origin ?? originOf(ctx)}/auth/callback`;
  const start = async (ctx: Context, login: Login) => {
    const text = await tokens.startSession(login, options.sessionLife);
    setCookie(ctx, SESSION, text, options.sessionLife);
  };

  router.get('/auth/login', async (ctx) => {
    if (!people) throw notFound('there is no OpenID provider to log in with', { code: 'UNSUPPORTED' });
    const returnTo = localPath(queryValue(ctx, 'return') ?? '/');
    const { location, sealed } = await people.begin({ redirectUri: redirectUri(ctx), returnTo });
    setCookie(ctx, BEGUN, sealed, 10 * 60_000);
    ctx.redirect(location);
  });

  router.get('/auth/callback', async (ctx) => {
    const [code, state, sealed] = [queryValue(ctx, 'code'), queryValue(ctx, 'state'), ctx.cookies.get(BEGUN)];
    setCookie(ctx, BEGUN, '', 0);
    if (!people || code === undefined || state === undefined || sealed === undefined) {
      throw unauthorized('the login was not begun here, or the OpenID provider refused it');
    }
    const returned = { code, state, issuer: queryValue(ctx, 'iss'), sealed, redirectUri: redirectUri(ctx) };
    const { login, returnTo } = await people.finish(returned, ctx.ip);
    await start(ctx, login);
    ctx.redirect(returnTo);
  });

  router.post('/auth/login', async (ctx) => {
    expectSameOrigin(ctx, options.origin);
    const form = await formOf(ctx);
    const [username, password] = [form.get('username') ?? '', form.get('password') ?? ''];
    const login = await logins.logIn({ username, password, address: ctx.ip });
    if (!login.lasting || login.secretId !== undefined) throw unauthorized('expected the password of a user');
    await start(ctx, login);
    ctx.status = 204;
  });

  router.get('/auth/session', async (ctx) => {
    const { subject } = await tokens.resume(session(ctx));
    ctx.body = { user: subject.slice('user:'.length) };
  });

  router.post('/auth/token', async (ctx) => {
    expectSameOrigin(ctx, options.origin);
    const scopes = scopesOf((await formOf(ctx)).getAll('scope'));
    ctx.body = tokenReply(
      await tokens.forRefreshToken(session(ctx), { scopes, offline: false, clientId: 'browser' }),
    );
  });

  router.post('/auth/personal-tokens', async (ctx) => {
    expectSameOrigin(ctx, options.origin);
    const { subject } = await tokens.resume(session(ctx));
    const wanted = personalToken.safeParse(await jsonOf(ctx));
    if (!wanted.success) throw invalid(z.prettifyError(wanted.error), { code: 'UNSUPPORTED' });
    ctx.status = 201;
    ctx.body = await secrets.create(
      { ...wanted.data, owner: subject },
      { principal: subject, address: ctx.ip },
    );
  });

  router.post('/auth/logout', async (ctx) => {
    expectSameOrigin(ctx, options.origin);
    await tokens.endSession(ctx.cookies.get(SESSION) ?? '');
    setCookie(ctx, SESSION, '', 0);
    ctx.status = 204;
  });

  const routes = router.routes() as unknown as Middleware;
  return async (ctx, next) => {
    if (ctx.path.startsWith('/auth/')) ctx.set('Cache-Control', 'no-store');
    await routes(ctx, next);
  };
}

function session(ctx: Context): string {
  const text = ctx.cookies.get(SESSION);
  if (text === undefined) throw unauthorized('authentication required');
  return text;
}

function setCookie(ctx: Context, name: string, value: string, maxAge: number): void {
  const secure = ctx.protocol === 'https';
  ctx.cookies.set(name, value, {
    httpOnly: true,
    sameSite: 'lax',
    secure,
    path: '/auth',
    maxAge,
    overwrite: true,
  });
}

/** A page of this site: whoever could name another would have a door to it with our name on it. */
function localPath(text: string): string {
  if (/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(text)) return text;
  throw invalid('expected a path of this site to return to', { code: 'UNSUPPORTED' });
}

/** Browsers say which page made them send a POST. */
function expectSameOrigin(ctx: Context, origin: string | undefined): void {
  const from = ctx.get('Origin');
  if (from !== '' && from !== (origin ?? originOf(ctx)) && from !== originOf(ctx)) {
    throw forbidden('requests of pages elsewhere are refused', { code: 'DENIED' });
  }
}

async function formOf(ctx: Context): Promise<URLSearchParams> {
  return new URLSearchParams(new TextDecoder().decode(await readBody(ctx, MAX_BODY)));
}

async function jsonOf(ctx: Context): Promise<unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(await readBody(ctx, MAX_BODY)));
  } catch (cause) {
    throw invalid('expected JSON', { code: 'UNSUPPORTED', cause });
  }
}

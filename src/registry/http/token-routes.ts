import { Router } from '@koa/router';
import type { Context, Middleware } from 'koa';
import { KEY_SET_LIFE, type SigningKeys } from '#auth/keys/signing-keys.ts';
import { parseScope, type Scope } from '#auth/scopes/scope.ts';
import type { IssuedToken, TokenRequest, TokenService } from '#auth/tokens/token-service.ts';
import { invalid, SlipwayError, unauthorized } from '#errors/errors.ts';
import { queryValue, queryValues } from './parameters.ts';
import { readBody } from './request-body.ts';

export interface TokenRoutesOptions {
  readonly tokens: TokenService;
  readonly keys: SigningKeys;
  /** The name of this service, as challenges say it. */
  readonly service: string;
}

const MAX_BODY = 64 * 1024;
const MAX_SCOPES = 100;
/** RFC 8693, 2.1 and 3. */
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const SUBJECT_TOKENS = ['urn:ietf:params:oauth:token-type:id_token', 'urn:ietf:params:oauth:token-type:jwt'];
const BASIC = /^Basic +([A-Za-z0-9+/]+={0,2}) *$/i;

/**
 * Gives tokens: distribution's docs/spec/auth/token.md (GET) and oauth.md (POST), and the public keys that they are
 * signed with. In front of the authentication of everything else: here, and only here, passwords are taken.
 */
export function tokenRoutes(options: TokenRoutesOptions): Middleware {
  const { tokens, keys } = options;
  const router = new Router();

  router.get('/token', (ctx) =>
    answering(ctx, async () => {
      const request = tokenRequest(options, {
        service: queryValue(ctx, 'service'),
        scopes: queryValues(ctx, 'scope'),
        clientId: queryValue(ctx, 'client_id'),
        offline: /^(?:true|1)$/.test(queryValue(ctx, 'offline_token') ?? ''),
      });
      const header = ctx.get('Authorization');
      if (header === '') return await tokens.forAnonymous(request);
      return await tokens.forPassword({ ...basicCredentials(header), address: ctx.ip }, request);
    }),
  );

  router.post('/token', (ctx) =>
    answering(ctx, async () => {
      const form = await formOf(ctx);
      const request = tokenRequest(options, {
        service: form.get('service'),
        scopes: form.getAll('scope'),
        clientId: form.get('client_id'),
        offline: form.get('access_type') === 'offline',
      });
      return await grant(ctx, form, request, tokens);
    }),
  );

  router.get('/.well-known/jwks.json', async (ctx) => {
    ctx.set('Cache-Control', `public, max-age=${KEY_SET_LIFE}`);
    ctx.body = await keys.publicKeys();
    ctx.type = 'application/jwk-set+json';
  });

  return router.routes() as unknown as Middleware;
}

/** RFC 6749, 4.3 and 6; RFC 8693. */
async function grant(
  ctx: Context,
  form: URLSearchParams,
  request: TokenRequest,
  tokens: TokenService,
): Promise<IssuedToken> {
  const value = (name: string) => {
    const text = form.get(name);
    if (text === null) throw invalid(`${name} is missing`, { code: 'invalid_request' });
    return text;
  };
  const type = value('grant_type');
  if (type === 'password') {
    const credentials = { username: value('username'), password: value('password') };
    return await tokens.forPassword({ ...credentials, address: ctx.ip }, request);
  }
  if (type === 'refresh_token') return await tokens.forRefreshToken(value('refresh_token'), request);
  if (type === TOKEN_EXCHANGE) {
    if (!SUBJECT_TOKENS.includes(value('subject_token_type'))) {
      throw invalid('expected an id_token or a jwt as subject_token', { code: 'invalid_request' });
    }
    return await tokens.forFederated(value('subject_token'), ctx.ip, request);
  }
  throw invalid('unsupported grant type', { code: 'unsupported_grant_type' });
}

function tokenRequest(
  { service }: TokenRoutesOptions,
  asked: {
    service: string | null | undefined;
    scopes: string[];
    clientId: string | null | undefined;
    offline: boolean;
  },
): TokenRequest {
  if (asked.service && asked.service !== service) {
    throw invalid(`this gives tokens for the service '${service}' only`, { code: 'invalid_request' });
  }
  return { scopes: scopesOf(asked.scopes), offline: asked.offline, clientId: asked.clientId ?? '' };
}

/** Scopes from parameters that hold one each, or several between blanks. Throws `invalid`. */
export function scopesOf(parameters: readonly string[]): Scope[] {
  const texts = parameters.flatMap((text) => text.split(' ')).filter(Boolean);
  if (texts.length > MAX_SCOPES) {
    throw invalid(`expected at most ${MAX_SCOPES} scopes`, { code: 'invalid_scope' });
  }
  // What cannot be granted is left out of the token, whatever it is that was asked for.
  return texts.flatMap((text) => parseScope(text) ?? []);
}

/** Answers with a token, or says why there is none in the words of OAuth and of registries: clients know one of them. */
async function answering(ctx: Context, issue: () => Promise<IssuedToken>): Promise<void> {
  ctx.set('Cache-Control', 'no-store');
  try {
    ctx.body = tokenReply(await issue());
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    const { kind, message } = error;
    if (kind === 'unauthorized') {
      ctx.set('WWW-Authenticate', 'Basic realm="slipway", charset="UTF-8"');
      refuse(ctx, 401, 'UNAUTHORIZED', 'invalid_grant', message);
    } else if (kind === 'too-many') {
      const { retryAfter = 1 } = (error.detail ?? {}) as { retryAfter?: number };
      ctx.set('Retry-After', String(retryAfter));
      refuse(ctx, 429, 'TOOMANYREQUESTS', 'slow_down', message);
    } else if (kind === 'invalid') {
      refuse(ctx, 400, 'UNSUPPORTED', error.code ?? 'invalid_request', message);
    } else throw error;
  }
}

function refuse(ctx: Context, status: number, code: string, error: string, message: string): void {
  ctx.status = status;
  ctx.body = { errors: [{ code, message }], error, error_description: message };
}

/** The reply's fields, by their names in both of distribution's documents. */
export function tokenReply(issued: IssuedToken) {
  return {
    token: issued.accessToken,
    access_token: issued.accessToken,
    token_type: 'Bearer',
    issued_token_type: ACCESS_TOKEN,
    expires_in: issued.expiresIn,
    issued_at: issued.issuedAt.toISOString(),
    scope: issued.scope,
    ...(issued.refreshToken !== undefined && { refresh_token: issued.refreshToken }),
  };
}

async function formOf(ctx: Context): Promise<URLSearchParams> {
  if (!ctx.is('application/x-www-form-urlencoded')) {
    throw invalid('expected a form', { code: 'invalid_request' });
  }
  return new URLSearchParams(new TextDecoder().decode(await readBody(ctx, MAX_BODY)));
}

/** RFC 7617. Throws `unauthorized`. */
function basicCredentials(header: string): { username: string; password: string } {
  const encoded = BASIC.exec(header)?.[1];
  const text = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (encoded === undefined || colon < 0) throw unauthorized('expected a user name and a password');
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

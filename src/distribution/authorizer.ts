import { SharedFlight } from '#async/shared-flight.ts';
import { unauthorized, unavailable } from '#errors/errors.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { type CredentialKeeper, expiryOf } from './credential-keeper.ts';
import type { HttpRequest, HttpTransport } from './http-transport.ts';
import { readLimited, registryError } from './registry-error.ts';

/** What `docker login` left for a registry. */
export interface Credentials {
  readonly username?: string;
  readonly password?: string;
  /** A refresh token, to be exchanged for access tokens. */
  readonly identityToken?: string;
  /** A bearer token, to be sent as it is. */
  readonly registryToken?: string;
  /** In place of all of them: whoever has them. */
  readonly keeper?: CredentialKeeper;
}

const MAX_TOKEN_BYTES = 1024 * 1024;
const CLIENT_ID = 'slipway';
const BEARER = 'Bearer ';

interface Token {
  readonly header: string;
  readonly expiresAt: number;
}

/**
 * Answers one registry's authentication challenges: Basic, and the Bearer token flow (distribution,
 * docs/spec/auth/token.md and oauth.md), anonymous when there are no credentials. Tokens are kept by scope.
 */
export class Authorizer {
  readonly #transport: HttpTransport;
  readonly #credentials: Credentials;
  readonly #tokens = new Map<string, Token>();
  readonly #fetching = new SharedFlight<Token, never>();
  /** Basic answers to everything once it was asked for. */
  #basic: string | undefined;

  constructor(transport: HttpTransport, credentials: Credentials = {}) {
    this.#transport = transport;
    this.#credentials = credentials;
  }

  /** The Authorization header to begin with, if one is known. */
  known(scopes: readonly string[]): string | undefined {
    if (this.#credentials.registryToken) return `${BEARER}${this.#credentials.registryToken}`;
    if (this.#basic) return this.#basic;
    const token = this.#tokens.get(keyOf(scopes));
    return token && token.expiresAt > Date.now() ? token.header : undefined;
  }

  /**
   * The header that answers a 401; `undefined` when there is nothing to answer with, or when `sent`, which the
   * server has just refused, is all there is.
   */
  async answer(
    header: string | undefined,
    scopes: readonly string[],
    options: { sent?: string; signal?: AbortSignal },
  ): Promise<string | undefined> {
    const challenges = parseChallenges(header ?? '');
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer && !this.#credentials.registryToken) {
      this.#tokens.delete(keyOf(scopes));
      const { sent, signal: own } = options;
      const fetch = ({ signal }: { signal: AbortSignal }) =>
        this.#fetchToken(bearer, scopes, { sent, signal });
      const token = await this.#fetching.run(keyOf(scopes), fetch, { ...(own && { signal: own }) });
      this.#tokens.set(keyOf(scopes), token);
      return token.header;
    }
    const basic = challenges.some(({ scheme }) => scheme === 'basic')
      ? basicHeader(await this.#own(options.signal))
      : undefined;
    if (basic === undefined || basic === options.sent) return undefined;
    this.#basic = basic;
    return basic;
  }

  async #fetchToken(
    challenge: Challenge,
    scopes: readonly string[],
    { sent, signal }: { sent: string | undefined; signal: AbortSignal },
  ): Promise<Token> {
    const realm = challenge.parameters.get('realm') ?? '';
    if (!URL.canParse(realm) || !/^https?:$/.test(new URL(realm).protocol)) {
      throw unavailable('the registry names no usable token server');
    }
    // The registry knows best what it wants to see; what the caller needs beyond (a mount's source) goes along.
    const wanted = [...new Set([...(challenge.parameters.get('scope')?.split(' ') ?? []), ...scopes])].filter(
      Boolean,
    );
    const service = challenge.parameters.get('service');
    const refused = sent?.startsWith(BEARER) ? sent.slice(BEARER.length) : undefined;
    const asked = { realm, service, scopes: wanted, ...(refused !== undefined && { refused }) };
    const given = await this.#credentials.keeper?.token(asked, { signal });
    if (given) return { header: `${BEARER}${given.token}`, expiresAt: given.expiresAt };
    const credentials = await this.#own(signal);
    const request = credentials.identityToken
      ? refreshRequest(realm, service, wanted, credentials.identityToken)
      : tokenRequest(realm, service, wanted, credentials);
    const response = await this.#transport.request({ ...request, signal });
    if (response.status !== 200) {
      const error = await registryError(response, 'token request');
      if (response.status === 401 || response.status === 403) {
        throw unauthorized(`unauthorized: ${error.message}`, { code: 'UNAUTHORIZED', cause: error });
      }
      throw error;
    }
    return parseToken(await readLimited(response, MAX_TOKEN_BYTES));
  }

  /** What there is to log in with. */
  async #own(signal: AbortSignal | undefined): Promise<Credentials> {
    const { keeper } = this.#credentials;
    return keeper ? ((await keeper.credentials({ ...(signal && { signal }) })) ?? {}) : this.#credentials;
  }
}

function tokenRequest(
  realm: string,
  service: string | undefined,
  scopes: string[],
  credentials: Credentials,
): HttpRequest {
  const url = new URL(realm);
  if (service) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const basic = basicHeader(credentials);
  if (basic && credentials.username) {
    url.searchParams.set('account', credentials.username);
    url.searchParams.set('client_id', CLIENT_ID);
  }
  return { method: 'GET', url, headers: basic ? { authorization: basic } : {} };
}

function refreshRequest(
  realm: string,
  service: string | undefined,
  scopes: string[],
  refreshToken: string,
): HttpRequest {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: CLIENT_ID,
    scope: scopes.join(' '),
    ...(service && { service }),
  });
  return {
    method: 'POST',
    url: new URL(realm),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: () => Buffer.from(form.toString()),
  };
}

function parseToken(body: Buffer | undefined): Token {
  let reply: { token?: unknown; access_token?: unknown; expires_in?: unknown } = {};
  try {
    reply = JSON.parse(body?.toString('utf8') ?? '');
  } catch {
    // Told below.
  }
  const token = reply.token || reply.access_token;
  if (typeof token !== 'string' || /[\r\n]/.test(token)) throw unavailable('the token server sent no token');
  const life = typeof reply.expires_in === 'number' ? reply.expires_in : undefined;
  return { header: `${BEARER}${token}`, expiresAt: expiryOf(life) };
}

function basicHeader({ username, password }: Credentials): string | undefined {
  if (!username) return undefined;
  return `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
}

function keyOf(scopes: readonly string[]): string {
  return scopes.join(' ');
}

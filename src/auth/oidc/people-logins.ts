import { createHash } from 'node:crypto';
import { errors, type JWTPayload, jwtVerify } from 'jose';
import { forbidden, unauthorized, unavailable } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import { type Login, loginOf } from '../login.ts';
import type { GroupsRepository } from '../policies/groups-repository.ts';
import { isAccountName } from '../policies/subject.ts';
import { type ClaimRules, meets } from '../trust/claim-rules.ts';
import { PROVIDER_ALGORITHMS } from '../trust/federated-logins.ts';
import type { IdentitiesRepository } from '../users/identities-repository.ts';
import type { LoginStates } from './login-state.ts';
import type { ProviderClient } from './provider-client.ts';

export interface PeopleLoginOptions {
  readonly issuer: string;
  readonly clientId: string;
  /** Undefined for a public client. */
  readonly clientSecret: string | undefined;
  readonly scopes: readonly string[];
  /** The claim that is a new user's name. */
  readonly userClaim: string;
  /** The claim that lists someone's groups, and those of them that are followed here. */
  readonly groupsClaim: string | null;
  readonly groups: readonly string[];
  /** Who may log in; everyone the provider knows if it is empty. */
  readonly claims: ClaimRules;
  /** In milliseconds. */
  readonly clockTolerance: number;
}

/**
 * People log in with an OpenID provider: the authorization code flow (OpenID Connect Core 1.0, 3.1) with PKCE. Who
 * comes for the first time becomes a user; one who was here before under that name is not taken over.
 */
export class PeopleLogins {
  readonly #providers: ProviderClient;
  readonly #states: LoginStates;
  readonly #identities: IdentitiesRepository;
  readonly #groups: GroupsRepository;
  readonly #options: PeopleLoginOptions;

  constructor(
    ports: {
      providers: ProviderClient;
      states: LoginStates;
      identities: IdentitiesRepository;
      groups: GroupsRepository;
    },
    options: PeopleLoginOptions,
  ) {
    this.#providers = ports.providers;
    this.#states = ports.states;
    this.#identities = ports.identities;
    this.#groups = ports.groups;
    this.#options = options;
  }

  /** Where to send a browser, and what it has to bring back. Throws `unavailable`. */
  async begin(request: {
    redirectUri: string;
    returnTo: string;
  }): Promise<{ location: string; sealed: string }> {
    const { issuer, clientId, scopes } = this.#options;
    const { authorizationEndpoint } = await this.#providers.metadata(issuer);
    if (authorizationEndpoint === undefined) throw unavailable('the OpenID provider logs nobody in');
    const state = this.#states.create(request.returnTo);
    const location = new URL(authorizationEndpoint);
    const parameters = {
      response_type: 'code',
      client_id: clientId,
      redirect_uri: request.redirectUri,
      scope: [...new Set(['openid', ...scopes])].join(' '),
      state: state.state,
      nonce: state.nonce,
      code_challenge: createHash('sha256').update(state.verifier).digest('base64url'),
      code_challenge_method: 'S256',
    };
    for (const [name, value] of Object.entries(parameters)) location.searchParams.set(name, value);
    return { location: location.href, sealed: await this.#states.seal(state) };
  }

  /** Who came back, and where they wanted to go. Throws `unauthorized`, `forbidden` and `unavailable`. */
  async finish(
    returned: {
      code: string;
      state: string;
      issuer: string | undefined;
      sealed: string;
      redirectUri: string;
    },
    address: string,
  ): Promise<{ login: Login; returnTo: string }> {
    const at = Date.now();
    const begun = await this.#states.open(returned.sealed);
    if (returned.state !== begun.state) throw unauthorized('the login was not begun here');
    // RFC 9207: an answer of another provider is none to us.
    if (returned.issuer !== undefined && returned.issuer !== this.#options.issuer) {
      throw unauthorized('the login was not begun there');
    }
    const idToken = await this.#exchange(returned.code, begun.verifier, returned.redirectUri);
    const claims = await this.#verify(idToken, begun.nonce);
    if (!meets(claims, this.#options.claims)) throw forbidden('you may not log in here');
    const user = await this.#userOf(claims, { principal: 'anonymous', address });
    return { login: loginOf(`user:${user}`, at), returnTo: begun.returnTo };
  }

  async #exchange(code: string, verifier: string, redirectUri: string): Promise<string> {
    const { issuer, clientId, clientSecret } = this.#options;
    const { tokenEndpoint } = await this.#providers.metadata(issuer);
    if (tokenEndpoint === undefined) throw unavailable('the OpenID provider gives no tokens');
    const form = new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
      ...(clientSecret === undefined && { client_id: clientId }),
    });
    const headers: Record<string, string> =
      clientSecret === undefined ? {} : { authorization: basic(clientId, clientSecret) };
    const { status, body } = await this.#providers.post(tokenEndpoint, form, headers);
    const idToken = (body as { id_token?: unknown } | null)?.id_token;
    if (status !== 200 || typeof idToken !== 'string')
      throw unauthorized('the OpenID provider refused the login');
    return idToken;
  }

  /** OpenID Connect Core 1.0, 3.1.3.7. */
  async #verify(idToken: string, nonce: string): Promise<JWTPayload> {
    const { issuer, clientId, clockTolerance } = this.#options;
    const keys = await this.#providers.keys(issuer);
    try {
      const { payload } = await jwtVerify(idToken, keys, {
        issuer,
        audience: clientId,
        algorithms: PROVIDER_ALGORITHMS,
        clockTolerance: clockTolerance / 1_000,
        requiredClaims: ['sub', 'exp', 'iat', 'nonce'],
      });
      const party =
        payload.azp ?? (Array.isArray(payload.aud) && payload.aud.length > 1 ? undefined : clientId);
      if (payload.nonce !== nonce || party !== clientId)
        throw unauthorized('the ID token is not for this login');
      return payload;
    } catch (cause) {
      if (cause instanceof errors.JOSEError)
        throw unauthorized(`the ID token is not valid: ${cause.message}`, { cause });
      throw cause;
    }
  }

  async #userOf(claims: JWTPayload, actor: Actor): Promise<string> {
    const { issuer, userClaim, groupsClaim, groups } = this.#options;
    const identity = { issuer, subject: claims.sub! };
    const known = await this.#identities.find(identity);
    if (known?.disabled) throw forbidden('this user is disabled');
    const name = known?.user ?? (await this.#newUser(identity, claims[userClaim], claims, actor));
    await this.#identities.loggedIn(name, { ...actor, principal: `user:${name}` }, identity);
    if (groupsClaim !== null) {
      const theirs = claims[groupsClaim];
      const list = (Array.isArray(theirs) ? theirs : []).filter((it) => typeof it === 'string');
      await this.#groups.follow(`user:${name}`, list, groups, { principal: 'system' });
    }
    return name;
  }

  async #newUser(
    identity: { issuer: string; subject: string },
    claim: unknown,
    claims: JWTPayload,
    actor: Actor,
  ): Promise<string> {
    const name = typeof claim === 'string' ? claim.toLowerCase() : '';
    if (!isAccountName(name)) throw forbidden(`the OpenID provider gave no name that a user can have here`);
    const text = (value: unknown) =>
      typeof value === 'string' ? value.slice(0, 200).replace(/[\x00-\x1f\x7f]/g, ' ') : undefined;
    await this.#identities.create(
      { name, displayName: text(claims.name), email: text(claims.email), ...identity },
      { ...actor, principal: `user:${name}` },
    );
    return name;
  }
}

/** RFC 6749, 2.3.1: both are form-encoded first. */
function basic(clientId: string, secret: string): string {
  const encoded = [clientId, secret]
    .map((it) => new URLSearchParams([['', it]]).toString().slice(1))
    .join(':');
  return `Basic ${Buffer.from(encoded).toString('base64')}`;
}

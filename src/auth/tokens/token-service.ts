import { unauthorized } from '#errors/errors.ts';
import type { RepositoryName } from '#oci/reference.ts';
import { isRepositoryName } from '#oci/reference.ts';
import { ACTIONS, type Action } from '../access.ts';
import { type Login, loginOf } from '../login.ts';
import type { LoginAttempt, Logins } from '../logins.ts';
import { intersection, type Permissions, permissionsOf } from '../policies/permissions.ts';
import type { Policies } from '../policies/policies.ts';
import type { PolicySnapshot } from '../policies/policy-snapshot.ts';
import { formatScope, isForPush, mergeScopes, type Scope } from '../scopes/scope.ts';
import { newSecret, readSecret, secretMatches } from '../secrets/secret-text.ts';
import type { AccessTokens } from './access-tokens.ts';
import type { RefreshTokenRow, RefreshTokensRepository } from './refresh-tokens-repository.ts';

export interface TokenRequest {
  /** What it is wanted for. What the caller may not is left out of the token, and is no error. */
  readonly scopes: readonly Scope[];
  /** Whether a refresh token is wanted too. */
  readonly offline: boolean;
  readonly clientId: string;
}

export interface IssuedToken {
  readonly accessToken: string;
  /** In seconds. */
  readonly expiresIn: number;
  readonly issuedAt: Date;
  readonly refreshToken: string | undefined;
  /** What it is good for, as scopes separated by blanks. */
  readonly scope: string;
}

/** Issues tokens to who may have them, for what they may do. */
export class TokenService {
  readonly #logins: Logins;
  readonly #policies: Policies;
  readonly #access: AccessTokens;
  readonly #refresh: RefreshTokensRepository;
  readonly #refreshLife: number;

  /** `refreshLife`: how long a refresh token lives, in milliseconds. */
  constructor(
    ports: { logins: Logins; policies: Policies; access: AccessTokens; refresh: RefreshTokensRepository },
    options: { refreshLife: number },
  ) {
    this.#logins = ports.logins;
    this.#policies = ports.policies;
    this.#access = ports.access;
    this.#refresh = ports.refresh;
    this.#refreshLife = options.refreshLife;
  }

  /** For who does not say who they are. */
  async forAnonymous(request: TokenRequest): Promise<IssuedToken> {
    const login = loginOf('anonymous', Date.now());
    return await this.forLogin({ ...login, lasting: false }, request);
  }

  /** Throws what `Logins.logIn` throws. */
  async forPassword(attempt: LoginAttempt, request: TokenRequest): Promise<IssuedToken> {
    return await this.forLogin(await this.#logins.logIn(attempt), request);
  }

  /** For the bearer of an OpenID token that a trust policy takes. Throws what `Logins.logIn` throws. */
  async forFederated(token: string, address: string, request: TokenRequest): Promise<IssuedToken> {
    return await this.forPassword({ username: 'oidc', password: token, address }, request);
  }

  /** Throws `unauthorized`. The same refresh token is good until it expires. */
  async forRefreshToken(text: string, request: TokenRequest): Promise<IssuedToken> {
    const issued = await this.forLogin(await this.resume(text), { ...request, offline: false });
    return { ...issued, refreshToken: request.offline ? text : undefined };
  }

  /** A session of a browser: a refresh token that lives for `life` milliseconds. */
  async startSession(login: Login, life: number): Promise<string> {
    return await this.#newRefreshToken(login, { clientId: 'browser', life });
  }

  async endSession(text: string): Promise<void> {
    const row = await this.#found(text);
    if (row) await this.#refresh.remove(row.id);
  }

  /** Whose refresh token it is, who is logged in by it. Throws `unauthorized`. */
  async resume(text: string): Promise<Login> {
    const row = await this.#found(text);
    if (!row) throw unauthorized('the refresh token is not valid');
    const policies = await this.#policies.copy.latest();
    if (row.expiresAt < Date.now() || policies.isRevoked(row.principal, row.createdAt)) {
      await this.#refresh.remove(row.id);
      throw unauthorized('the refresh token is not valid any more');
    }
    return await this.#logins.resume(row.principal, row.secretId);
  }

  async #found(text: string): Promise<RefreshTokenRow | undefined> {
    const read = readSecret(text);
    const row = read?.kind === 'refresh' ? await this.#refresh.find(read.id) : undefined;
    return row && secretMatches(text, row.hash) ? row : undefined;
  }

  async forLogin(login: Login, request: TokenRequest): Promise<IssuedToken> {
    const policies = await this.#policies.copy.latest();
    const access = grantedScopes(
      request.scopes,
      permissionsFor(login, policies),
      login.subject !== 'anonymous',
    );
    const expiresIn = login.tokenLife === undefined ? this.#access.lifeSeconds : login.tokenLife / 1_000;
    const accessToken = await this.#access.issue(
      {
        subject: login.subject,
        principal: login.principal,
        subjects: login.subjects,
        access,
        // What else its bearer may is looked at where it administers or lists, and where a push mounts blobs.
        limits: access.some((scope) => scope.type !== 'repository' || isForPush(scope))
          ? login.limits
          : undefined,
        issuedAt: login.at,
      },
      expiresIn,
    );
    return {
      accessToken,
      expiresIn,
      issuedAt: new Date(login.at),
      refreshToken:
        request.offline && login.lasting ? await this.#newRefreshToken(login, request) : undefined,
      scope: access.map(formatScope).join(' '),
    };
  }

  async #newRefreshToken(
    login: Login,
    { clientId, life = this.#refreshLife }: { clientId: string; life?: number },
  ): Promise<string> {
    const { id, text, hash } = newSecret('refresh');
    await this.#refresh.insert({
      id,
      hash,
      principal: login.subject,
      secretId: login.secretId,
      clientId: clientId.slice(0, 100).replace(/[^\x20-\x7e]/g, '?'),
      createdAt: login.at,
      expiresAt: login.at + life,
    });
    return text;
  }
}

/** What a login may do by the policies of this moment. */
function permissionsFor(login: Login, policies: PolicySnapshot): Permissions {
  return intersection(policies.permissions(login.subjects), login.limits && permissionsOf(login.limits));
}

/**
 * What is granted of what was asked for. `*` asks for everything (skopeo's delete does). The catalog is for everyone,
 * as it lists to each what they may pull; whether someone administers is decided when they do.
 */
export function grantedScopes(asked: readonly Scope[], permissions: Permissions, named: boolean): Scope[] {
  return mergeScopes(asked).flatMap((scope) => {
    if (scope.type === 'repository') return repositoryScope(scope, permissions);
    if (scope.type === 'registry' && scope.name === 'catalog') return [{ ...scope, actions: ['*'] }];
    if (scope.type === 'slipway' && scope.name === 'api' && named) return [{ ...scope, actions: ['*'] }];
    return [];
  });
}

function repositoryScope(scope: Scope, permissions: Permissions): Scope[] {
  if (!isRepositoryName(scope.name)) return [];
  const name: RepositoryName = scope.name;
  const wanted: readonly Action[] = scope.actions.includes('*')
    ? ACTIONS
    : ACTIONS.filter((action) => scope.actions.includes(action));
  const actions = wanted.filter((action) => permissions.allows(name, action));
  return actions.length > 0 ? [{ ...scope, actions }] : [];
}

import { unauthorized } from '#errors/errors.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Access, Action } from './access.ts';
import type { Authenticator, Credentials, Wanted } from './authenticator.ts';
import { intersection, type Permissions, permissionsOf } from './policies/permissions.ts';
import type { Policies } from './policies/policies.ts';
import type { PolicySnapshot } from './policies/policy-snapshot.ts';
import { isForPush } from './scopes/scope.ts';
import type { AccessClaims, AccessTokens } from './tokens/access-tokens.ts';

const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i;

/**
 * Docker's token authentication (distribution, docs/spec/auth/token.md): requests carry access tokens that were got
 * at the realm. Checking one takes no look at the database; whether it was revoked, and what the anonymous may, is
 * known to the second.
 */
export class TokenAuthenticator implements Authenticator {
  readonly #tokens: AccessTokens;
  readonly #policies: Policies;
  readonly #realm: string | undefined;
  readonly #service: string;

  /** `realm`: the URL that gives tokens; `/token` of where the request went if it is undefined. */
  constructor(
    ports: { tokens: AccessTokens; policies: Policies },
    options: { realm: string | undefined; service: string },
  ) {
    this.#tokens = ports.tokens;
    this.#policies = ports.policies;
    this.#realm = options.realm;
    this.#service = options.service;
  }

  async authenticate({ authorization }: Credentials): Promise<Access> {
    const policies = this.#policies.copy.trusted ?? (await this.#policies.copy.current());
    if (authorization === '') return anonymousAccess(policies);
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) throw unauthorized('expected a bearer token');
    const claims = await this.#tokens.verify(token);
    if (policies.isRevoked(claims.subject, claims.issuedAt)) throw unauthorized('the token was revoked');
    return new TokenAccess(claims, policies);
  }

  challenge(request: { origin: string }, wanted?: Wanted, error?: string): string {
    const parameters = {
      realm: this.#realm ?? `${request.origin}/token`,
      service: this.#service,
      ...(wanted && { scope: `${wanted.type}:${wanted.name}:${wanted.actions.join(',')}` }),
      ...(error && { error }),
    };
    return `Bearer ${Object.entries(parameters)
      .map(([name, value]) => `${name}=${quoted(value)}`)
      .join(',')}`;
  }
}

/** Without a token one may do what everyone may. */
function anonymousAccess(policies: PolicySnapshot): Access {
  const permissions = policies.permissions(['anonymous']);
  return {
    principal: 'anonymous',
    allows: (repository, action) => permissions.allows(repository, action),
    mounts: (repository) => permissions.allows(repository, 'pull'),
    lists: false,
    sees: (repository) => permissions.allows(repository, 'pull'),
    administers: () => false,
  };
}

class TokenAccess implements Access {
  readonly #claims: AccessClaims;
  readonly #policies: PolicySnapshot;

  constructor(claims: AccessClaims, policies: PolicySnapshot) {
    this.#claims = claims;
    this.#policies = policies;
  }

  get principal(): string {
    return this.#claims.principal;
  }

  allows(repository: RepositoryName, action: Action): boolean {
    return this.#claims.access.some(
      ({ type, name, actions }) => type === 'repository' && name === repository && actions.includes(action),
    );
  }

  mounts(repository: RepositoryName): boolean {
    return (
      this.allows(repository, 'pull') ||
      (this.#claims.access.some(isForPush) && this.#granted().allows(repository, 'pull'))
    );
  }

  get lists(): boolean {
    return this.#isFor('registry', 'catalog') || this.#isFor('slipway', 'api');
  }

  sees(repository: RepositoryName): boolean {
    return this.allows(repository, 'pull') || (this.lists && this.#granted().allows(repository, 'pull'));
  }

  administers(pattern?: string): boolean {
    return this.#isFor('slipway', 'api') && this.#granted().administers(pattern);
  }

  /** What the grants of this moment allow. */
  #granted(): Permissions {
    const { subjects, limits } = this.#claims;
    return intersection(this.#policies.permissions(subjects), limits && permissionsOf(limits));
  }

  #isFor(type: string, name: string): boolean {
    return this.#claims.access.some((scope) => scope.type === type && scope.name === name);
  }
}

/** RFC 9110, 5.6.4. What cannot be in a header is not in a URL, a service or a name. */
function quoted(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

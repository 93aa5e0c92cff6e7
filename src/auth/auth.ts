import type { RegistryDatabase } from '#database/registry/open.ts';
import { SigningKeys } from './keys/signing-keys.ts';
import { SigningKeysRepository } from './keys/signing-keys-repository.ts';
import { Logins } from './logins.ts';
import { LoginStates } from './oidc/login-state.ts';
import { type PeopleLoginOptions, PeopleLogins } from './oidc/people-logins.ts';
import { ProviderClient } from './oidc/provider-client.ts';
import { LoginThrottle } from './passwords/login-throttle.ts';
import { LoginThrottleRepository } from './passwords/login-throttle-repository.ts';
import { PasswordHasher } from './passwords/password-hasher.ts';
import { Groups } from './policies/groups.ts';
import { GroupsRepository } from './policies/groups-repository.ts';
import { Policies } from './policies/policies.ts';
import { PoliciesRepository } from './policies/policies-repository.ts';
import type { RecordChange } from './record-change.ts';
import { Robots } from './robots/robots.ts';
import { RobotsRepository } from './robots/robots-repository.ts';
import { Secrets } from './secrets/secrets.ts';
import { SecretsRepository } from './secrets/secrets-repository.ts';
import { TokenAuthenticator } from './token-authenticator.ts';
import { AccessTokens } from './tokens/access-tokens.ts';
import { RefreshTokensRepository } from './tokens/refresh-tokens-repository.ts';
import { TokenService } from './tokens/token-service.ts';
import { FederatedLogins } from './trust/federated-logins.ts';
import { TrustPolicies } from './trust/trust-policies.ts';
import { TrustPoliciesRepository } from './trust/trust-policies-repository.ts';
import { IdentitiesRepository } from './users/identities-repository.ts';
import { Users } from './users/users.ts';
import { UsersRepository } from './users/users-repository.ts';

/** Who there is, what they may do, and the tokens that say so. */
export interface Auth {
  readonly users: Users;
  readonly robots: Robots;
  readonly secrets: Secrets;
  readonly policies: Policies;
  readonly groups: Groups;
  readonly trust: TrustPolicies;
  readonly keys: SigningKeys;
  readonly tokens: TokenService;
  readonly authenticator: TokenAuthenticator;
  readonly logins: Logins;
  /** People who log in with an OpenID provider, if one is set up. */
  readonly people: PeopleLogins | undefined;
  readonly identities: IdentitiesRepository;
  /** The name of this service in tokens and challenges. */
  readonly service: string;
}

/** Lives are in milliseconds. */
export interface AuthOptions {
  /** The URL that gives tokens; `/token` of where a request went if it is undefined. */
  readonly realm: string | undefined;
  readonly service: string;
  readonly accessTokenLife: number;
  /** Of access tokens that CI jobs get for their OpenID tokens, which they may not have twice. */
  readonly exchangedTokenLife: number;
  readonly refreshTokenLife: number;
  readonly keyLife: number;
  readonly clockTolerance: number;
  /** The OpenID provider that people log in with. */
  readonly people?: Omit<PeopleLoginOptions, 'clockTolerance'> | undefined;
}

/** Over the registry's database. `record` writes to the audit log. */
export function createAuth(
  ports: { db: RegistryDatabase; record: RecordChange },
  options: AuthOptions,
): Auth {
  const { db, record } = ports;
  const hasher = new PasswordHasher();
  const users = new UsersRepository({ db, record });
  const robots = new RobotsRepository({ db, record });
  const secrets = new SecretsRepository({ db, record });
  const policies = new Policies({ policies: new PoliciesRepository({ db, record }) });
  const keys = new SigningKeys(
    { keys: new SigningKeysRepository({ db, record }) },
    { rotateEvery: options.keyLife },
  );
  const { service, clockTolerance, realm } = options;
  const access = new AccessTokens(
    { keys },
    { issuer: service, service, life: options.accessTokenLife, clockTolerance },
  );
  const providers = new ProviderClient();
  const trusted = new TrustPoliciesRepository({ db, record });
  const federated = new FederatedLogins(
    {
      policies: trusted,
      providers,
      record: (actor, detail) => record(db, actor, [{ action: 'login.exchange', detail }]),
    },
    { clockTolerance, tokenLife: options.exchangedTokenLife },
  );
  const identities = new IdentitiesRepository({ db, record });
  const groups = new GroupsRepository({ db, record });
  const people =
    options.people &&
    new PeopleLogins(
      { providers, states: new LoginStates({ keys }, { service }), identities, groups },
      { ...options.people, clockTolerance },
    );
  const logins = new Logins({
    users,
    robots,
    secrets,
    hasher,
    federated,
    throttle: new LoginThrottle({ counts: new LoginThrottleRepository(db) }),
    denied: (actor, detail) => record(db, actor, [{ action: 'login.password', outcome: 'denied', detail }]),
  });
  return {
    users: new Users({ users, hasher }),
    robots: new Robots({ robots }),
    secrets: new Secrets({ secrets }),
    policies,
    groups: new Groups({ groups }),
    trust: new TrustPolicies({ policies: trusted }),
    keys,
    tokens: new TokenService(
      { logins, policies, access, refresh: new RefreshTokensRepository(db) },
      { refreshLife: options.refreshTokenLife },
    ),
    logins,
    people,
    identities,
    authenticator: new TokenAuthenticator({ tokens: access, policies }, { realm, service }),
    service,
  };
}

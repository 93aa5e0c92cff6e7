import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { unauthorized } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import type { Login } from '../login.ts';
import { isSafeUrl } from '../oidc/issuer-url.ts';
import type { ProviderClient } from '../oidc/provider-client.ts';
import { isAccountName } from '../policies/subject.ts';
import { meets } from './claim-rules.ts';
import type { TrustPoliciesRepository, TrustPolicy } from './trust-policies-repository.ts';

const MAX_LENGTH = 16 * 1024;
/** What OpenID providers sign with. No algorithm with a shared secret is among them. */
export const PROVIDER_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

/** Notes who was let in by which policies. */
export type RecordExchange = (actor: Actor, detail: Readonly<Record<string, unknown>>) => Promise<void>;

/** Lets CI jobs log in with the OpenID token that their system gave them. */
export class FederatedLogins {
  readonly #policies: TrustPoliciesRepository;
  readonly #providers: ProviderClient;
  readonly #record: RecordExchange;
  readonly #options: { clockTolerance: number; tokenLife: number };

  /** Milliseconds: how far clocks may differ, and how long the access tokens live that such a login gets. */
  constructor(
    ports: { policies: TrustPoliciesRepository; providers: ProviderClient; record: RecordExchange },
    options: { clockTolerance: number; tokenLife: number },
  ) {
    this.#policies = ports.policies;
    this.#providers = ports.providers;
    this.#record = ports.record;
    this.#options = options;
  }

  /**
   * Who the bearer of a token is: `federated:<policy>`, by all the policies that it meets, or by the one that is
   * named. Throws `unauthorized`, and `unavailable` when the issuer's keys cannot be had.
   */
  async logIn(token: string, options: { policy?: string | undefined; address: string }): Promise<Login> {
    const at = Date.now();
    const issuer = issuerOf(token);
    const { policy: name } = options;
    const named = name === undefined || isAccountName(name);
    const policies = named ? await this.#policies.list({ issuer, name }) : [];
    if (policies.length === 0) throw refused('its issuer is not trusted');
    const claims = await this.#verify(token, issuer);
    const met = policies.filter((policy) => isFor(policy, claims));
    const [first] = met;
    if (!first) throw refused('no trust policy takes its audience and claims');
    const who = String(claims.sub)
      .slice(0, 200)
      .replace(/[^\x21-\x7e]/g, '?');
    await this.#record(
      { principal: `federated:${first.name}:${who}`, address: options.address },
      { policies: met.map(({ name }) => name), issuer, subject: who, jti: claims.jti },
    );
    return {
      subject: `federated:${first.name}`,
      principal: `federated:${first.name}:${who}`,
      subjects: met.map(({ name }) => `federated:${name}` as const),
      limits: undefined,
      secretId: undefined,
      lasting: false,
      tokenLife: this.#options.tokenLife,
      at,
    };
  }

  async #verify(token: string, issuer: string): Promise<JWTPayload> {
    const keys = await this.#providers.keys(issuer);
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        algorithms: PROVIDER_ALGORITHMS,
        clockTolerance: this.#options.clockTolerance / 1_000,
        requiredClaims: ['sub', 'aud', 'exp', 'iat'],
      });
      return payload;
    } catch (error) {
      if (error instanceof errors.JOSEError) throw refused(error.message, error);
      throw error;
    }
  }
}

function isFor(policy: TrustPolicy, claims: JWTPayload): boolean {
  const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
  return audiences.includes(policy.audience) && meets(claims, policy.claims);
}

/** Who a token says it is from, to be believed when its signature was checked. */
function issuerOf(token: string): string {
  try {
    if (token.length > MAX_LENGTH) throw new errors.JWTInvalid('too long');
    const { iss } = decodeJwt(token);
    if (iss === undefined || !isSafeUrl(iss)) throw new errors.JWTInvalid('its issuer is no URL');
    return iss;
  } catch (error) {
    throw refused('it is malformed', error);
  }
}

function refused(reason: string, cause?: unknown) {
  return unauthorized(`the OpenID token is not taken: ${reason}`, { cause });
}

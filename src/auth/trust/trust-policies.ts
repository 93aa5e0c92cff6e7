import { invalid } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import { parseIssuer } from '../oidc/issuer-url.ts';
import { parseAccountName } from '../policies/subject.ts';
import { parseClaimRules } from './claim-rules.ts';
import {
  type TrustPoliciesRepository,
  type TrustPolicy,
  unknownTrustPolicy,
} from './trust-policies-repository.ts';

/** Which CI systems' jobs may log in without a secret: by the OpenID tokens that they are given. */
export class TrustPolicies {
  readonly #policies: TrustPoliciesRepository;

  constructor(ports: { policies: TrustPoliciesRepository }) {
    this.#policies = ports.policies;
  }

  /** In the place of one of that name. Throws `invalid`. */
  async put(
    policy: {
      name: string;
      issuer: string;
      audience: string;
      claims: Readonly<Record<string, string | readonly string[]>>;
    },
    actor: Actor,
  ): Promise<TrustPolicy> {
    const name = parseAccountName(policy.name);
    const { audience } = policy;
    if (audience === '' || audience.length > 300) throw invalid('expected an audience');
    const [issuer, claims] = [parseIssuer(policy.issuer), parseClaimRules(policy.claims)];
    await this.#policies.put({ name, issuer, audience, claims }, actor);
    return await this.get(name);
  }

  /** Throws `not-found`. */
  async get(name: string): Promise<TrustPolicy> {
    const [policy] = await this.#policies.list({ name });
    if (!policy) throw unknownTrustPolicy(name);
    return policy;
  }

  /** By name. */
  async list(): Promise<TrustPolicy[]> {
    return await this.#policies.list();
  }

  /** Throws `not-found`. Its grants go along, and what it let in is let out. */
  async remove(name: string, actor: Actor): Promise<void> {
    await this.#policies.remove(name, actor);
  }
}

import { randomUUID } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { invalid, unauthorized } from '#errors/errors.ts';
import { ALGORITHM, type SigningKeys } from '../keys/signing-keys.ts';
import type { Permission } from '../policies/grant.ts';
import type { Subject } from '../policies/subject.ts';
import type { Scope } from '../scopes/scope.ts';

/** RFC 9068: no other kind of JWT passes for an access token. */
const TYPE = 'at+jwt';
/** Longer ones are neither issued nor looked at: HTTP servers take 16 KiB of headers. */
const MAX_LENGTH = 12 * 1024;
/** How many tokens that were found good are remembered: a client sends the same one with each of its requests. */
const REMEMBERED = 2_000;

/** What an access token says. */
export interface AccessClaims {
  /** Whom it was issued to: `user:ada`, `anonymous`. */
  readonly subject: Subject;
  /** Who that is in logs, where that says more. */
  readonly principal: string;
  /** Whose grants count, where those are more than the subject's own. */
  readonly subjects: readonly Subject[];
  /** What it is good for. */
  readonly access: readonly Scope[];
  /** What it is good for at most where grants count beyond `access`. */
  readonly limits: readonly Permission[] | undefined;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface AccessTokenOptions {
  readonly issuer: string;
  readonly service: string;
  /** How long a token lives, in milliseconds. */
  readonly life: number;
  /** How far the clocks of those who issue and those who check may differ, in milliseconds. */
  readonly clockTolerance: number;
}

/** Issues and checks access tokens: JWTs with the claims of distribution's docs/spec/auth/jwt.md. */
export class AccessTokens {
  readonly #keys: SigningKeys;
  readonly #options: AccessTokenOptions;
  readonly #good = new Map<string, { kid: string; claims: AccessClaims }>();

  constructor(ports: { keys: SigningKeys }, options: AccessTokenOptions) {
    this.#keys = ports.keys;
    this.#options = options;
  }

  /** How long a token lives, in whole seconds. */
  get lifeSeconds(): number {
    return Math.round(this.#options.life / 1_000);
  }

  /** Throws `invalid` for more access than fits into a token. */
  async issue(claims: Omit<AccessClaims, 'expiresAt'>, lifeSeconds = this.lifeSeconds): Promise<string> {
    const { kid, key } = await this.#keys.signing();
    // To the millisecond, for a revocation right after it; some read only whole seconds of the others.
    const issuedAt = claims.issuedAt / 1_000;
    const second = Math.floor(issuedAt);
    const several = claims.subjects.length !== 1 || claims.subjects[0] !== claims.subject;
    const token = await new SignJWT({
      access: claims.access.map(({ class: kind, ...scope }) => ({ ...scope, ...(kind && { class: kind }) })),
      ...(claims.principal !== claims.subject && { principal: claims.principal }),
      ...(several && { subjects: claims.subjects }),
      ...(claims.limits && { limits: claims.limits }),
    })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid })
      .setIssuer(this.#options.issuer)
      .setAudience(this.#options.service)
      .setSubject(claims.subject)
      .setJti(randomUUID())
      .setIssuedAt(issuedAt)
      .setNotBefore(second)
      .setExpirationTime(second + lifeSeconds)
      .sign(key);
    if (token.length > MAX_LENGTH) throw invalid('too many scopes for one token', { code: 'invalid_scope' });
    return token;
  }

  /** Throws `unauthorized` for what is not a token of ours that is valid now. */
  async verify(token: string): Promise<AccessClaims> {
    const known = this.#good.get(token);
    if (known) {
      if (known.claims.expiresAt > Date.now() && (await this.#keys.verifying(known.kid))) return known.claims;
      this.#good.delete(token);
    }
    if (token.length > MAX_LENGTH) throw refused('too long');
    const { claims, kid } = await this.#check(token);
    const oldest = this.#good.size >= REMEMBERED ? this.#good.keys().next().value : undefined;
    if (oldest !== undefined) this.#good.delete(oldest);
    this.#good.set(token, { kid, claims });
    return claims;
  }

  async #check(token: string): Promise<{ claims: AccessClaims; kid: string }> {
    const { issuer, service, clockTolerance } = this.#options;
    try {
      const { payload, protectedHeader } = await jwtVerify<TokenPayload>(
        token,
        async ({ kid }) => {
          const key = typeof kid === 'string' ? await this.#keys.verifying(kid) : undefined;
          if (!key) throw refused('signed with a key that is not known');
          return key;
        },
        {
          algorithms: [ALGORITHM],
          typ: TYPE,
          issuer,
          audience: service,
          clockTolerance: clockTolerance / 1_000,
          requiredClaims: ['sub', 'iat', 'nbf', 'exp', 'jti', 'access'],
        },
      );
      const expiresAt = payload.exp! * 1_000 + clockTolerance;
      return { claims: claimsOf(payload, expiresAt), kid: protectedHeader.kid! };
    } catch (cause) {
      // What else is thrown (the database is gone) is not the token's fault.
      if (cause instanceof errors.JOSEError) throw refused(cause.message, cause);
      throw cause;
    }
  }
}

interface TokenPayload {
  readonly access: readonly { type: string; class?: string; name: string; actions: string[] }[];
  readonly principal?: string;
  readonly subjects?: Subject[];
  readonly limits?: Permission[];
}

/** What is signed by us has the shape that we gave it. */
function claimsOf(payload: TokenPayload & { sub?: string; iat?: number }, expiresAt: number): AccessClaims {
  const subject = payload.sub as Subject;
  return {
    subject,
    principal: payload.principal ?? subject,
    subjects: payload.subjects ?? [subject],
    access: payload.access.map((scope) => ({ ...scope, class: scope.class ?? '' })),
    limits: payload.limits,
    issuedAt: payload.iat! * 1_000,
    expiresAt,
  };
}

function refused(reason: string, cause?: unknown) {
  return unauthorized(`the token is not valid: ${reason}`, { cause });
}

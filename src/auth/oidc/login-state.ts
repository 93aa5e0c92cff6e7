import { randomBytes } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { unauthorized } from '#errors/errors.ts';
import { ALGORITHM, type SigningKeys } from '../keys/signing-keys.ts';

const TYPE = 'login+jwt';
/** How long someone may take at the provider. */
const LIFE_SECONDS = 10 * 60;

/** What a login that was begun has to find again when the provider sends the browser back. */
export interface LoginState {
  /** What the provider has to give back, in the redirect and in the ID token. */
  readonly state: string;
  readonly nonce: string;
  /** RFC 7636, 4.1. */
  readonly verifier: string;
  /** Where on this site to go on. */
  readonly returnTo: string;
}

/** Keeps logins under way in a cookie of the browser that began them, signed: whichever process ends them can. */
export class LoginStates {
  readonly #keys: SigningKeys;
  readonly #audience: string;

  constructor(ports: { keys: SigningKeys }, options: { service: string }) {
    this.#keys = ports.keys;
    this.#audience = `${options.service}/login`;
  }

  create(returnTo: string): LoginState {
    const random = () => randomBytes(32).toString('base64url');
    return { state: random(), nonce: random(), verifier: random(), returnTo };
  }

  async seal(state: LoginState): Promise<string> {
    const { kid, key } = await this.#keys.signing();
    return await new SignJWT({ ...state })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid })
      .setAudience(this.#audience)
      .setExpirationTime(`${LIFE_SECONDS}s`)
      .sign(key);
  }

  /** Throws `unauthorized` for what was not sealed here, or too long ago. */
  async open(sealed: string): Promise<LoginState> {
    try {
      const { payload } = await jwtVerify<LoginState>(
        sealed,
        async ({ kid }) => {
          const key = typeof kid === 'string' ? await this.#keys.verifying(kid) : undefined;
          if (!key) throw new errors.JWKSNoMatchingKey();
          return key;
        },
        { algorithms: [ALGORITHM], typ: TYPE, audience: this.#audience, requiredClaims: ['exp', 'state'] },
      );
      const { state, nonce, verifier, returnTo } = payload;
      return { state, nonce, verifier, returnTo };
    } catch (cause) {
      if (cause instanceof errors.JOSEError)
        throw unauthorized('the login took too long: begin again', { cause });
      throw cause;
    }
  }
}

import type { Credentials } from './authorizer.ts';

/** What a token server is asked for (distribution, docs/spec/auth/token.md). */
export interface TokenRequest {
  readonly realm: string;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  /** A token that the registry has just refused: not that one again. */
  readonly refused?: string;
}

export interface FetchedToken {
  readonly token: string;
  /** In milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Somebody who has credentials for a registry and would rather keep them to himself. */
export interface CredentialKeeper {
  /** Fetched by him; undefined: he leaves that to us. Throws `unauthorized`. */
  token(request: TokenRequest, options: { signal?: AbortSignal }): Promise<FetchedToken | undefined>;
  /** For a registry that wants passwords themselves, or when there is no token from him. undefined: he has none. */
  credentials(options: { signal?: AbortSignal }): Promise<Credentials | undefined>;
}

/** Tokens that say nothing of their life have this much (distribution, docs/spec/auth/token.md). */
const DEFAULT_LIFE_SECONDS = 60;

/** Until when a token may be used: not in its last tenth, so that it does not expire on the way. */
export function expiryOf(lifeSeconds: number | undefined, issuedAt = Date.now()): number {
  return issuedAt + (lifeSeconds || DEFAULT_LIFE_SECONDS) * 900;
}

import type { Access, Action } from './access.ts';

/** What a request says of who sends it. */
export interface Credentials {
  /** The `Authorization` header, `''` without one. */
  readonly authorization: string;
  /** The client's IP address. */
  readonly address: string;
}

/** Tells who asks and what they may do. Any number of calls at a time. */
export interface Authenticator {
  /**
   * Access for these credentials; that of the anonymous when there are none. Throws `unauthorized` for credentials
   * that are malformed, forged, expired or revoked.
   */
  authenticate(credentials: Credentials): Promise<Access>;

  /**
   * The `WWW-Authenticate` header that tells a client how to get access, undefined when there is no way to.
   * `wanted` is what the request needed; `error` an OAuth 2.0 code (RFC 6750, 3.1).
   */
  challenge(wanted?: { repository: string; actions: readonly Action[] }, error?: string): string | undefined;
}

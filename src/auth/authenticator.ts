import type { Access } from './access.ts';

/** What a request says of who sends it. */
export interface Credentials {
  /** The `Authorization` header, `''` without one. */
  readonly authorization: string;
  /** The client's IP address. */
  readonly address: string;
}

/** What a request would have needed, as a token's scope names it. */
export interface Wanted {
  readonly type: 'repository' | 'registry' | 'slipway';
  readonly name: string;
  readonly actions: readonly string[];
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
   * `request.origin` is how the client reached us (`https://registry.example`), `error` an OAuth 2.0 code
   * (RFC 6750, 3.1).
   */
  challenge(request: { readonly origin: string }, wanted?: Wanted, error?: string): string | undefined;
}

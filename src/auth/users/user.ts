/** A person with an account. Times are milliseconds since 1970. */
export interface User {
  readonly name: string;
  readonly displayName: string | undefined;
  readonly email: string | undefined;
  /** False for those who only log in by an OpenID provider, or with personal access tokens. */
  readonly hasPassword: boolean;
  /** Cannot log in; what they had logged in is logged out. */
  readonly disabled: boolean;
  readonly createdAt: number;
  readonly lastLoginAt: number | undefined;
}

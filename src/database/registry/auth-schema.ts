/** Milliseconds since 1970. */
type Time = number;

/** Who there is, what they may do, and what they prove it with. Secrets are kept as hashes. */
export interface AuthSchema {
  users: UsersTable;
  user_identities: UserIdentitiesTable;
  robots: RobotsTable;
  secrets: SecretsTable;
  grants: GrantsTable;
  group_members: GroupMembersTable;
  trust_policies: TrustPoliciesTable;
  refresh_tokens: RefreshTokensTable;
  revocations: RevocationsTable;
  signing_keys: SigningKeysTable;
  login_failures: LoginFailuresTable;
  auth_versions: AuthVersionsTable;
}

interface UsersTable {
  name: string;
  display_name: string | null;
  email: string | null;
  /** In PHC string format; null for those who only log in elsewhere. */
  password_hash: string | null;
  disabled_at: Time | null;
  created_at: Time;
  last_login_at: Time | null;
}

/** Who a user is at an OpenID provider. */
interface UserIdentitiesTable {
  issuer: string;
  subject: string;
  user_name: string;
  created_at: Time;
}

interface RobotsTable {
  name: string;
  description: string;
  disabled_at: Time | null;
  expires_at: Time | null;
  created_at: Time;
  created_by: string;
}

/** Passwords that Slipway made: of robots, and personal ones of users. */
interface SecretsTable {
  id: string;
  /** `user:ada`, `robot:ci` */
  owner: string;
  /** SHA-256 in hexadecimal: they are too long to be guessed. */
  hash: string;
  description: string;
  /** What it is good for at most, as a JSON list of permissions; null for all that its owner may. */
  permissions: string | null;
  expires_at: Time | null;
  created_at: Time;
  last_used_at: Time | null;
}

interface GrantsTable {
  subject: string;
  pattern: string;
  /** Separated by blanks. */
  actions: string;
  created_at: Time;
  created_by: string;
}

interface GroupMembersTable {
  group_name: string;
  /** `user:ada`, `robot:ci` */
  member: string;
  created_at: Time;
}

/** Whose tokens are taken for credentials, and of whom. */
interface TrustPoliciesTable {
  name: string;
  issuer: string;
  audience: string;
  /** A JSON object from claim to the patterns of which one must match. */
  claims: string;
  created_at: Time;
  created_by: string;
}

interface RefreshTokensTable {
  id: string;
  hash: string;
  principal: string;
  /** The secret that it was got with, without which it is worth nothing. */
  secret_id: string | null;
  client_id: string;
  created_at: Time;
  expires_at: Time;
}

/** Access tokens of a principal that were issued before a moment are worth nothing. Kept for as long as one lives. */
interface RevocationsTable {
  principal: string;
  issued_before: Time;
}

interface SigningKeysTable {
  kid: string;
  algorithm: string;
  /** JSON Web Keys. */
  public_key: string;
  private_key: string;
  created_at: Time;
  /** From when on it signs, until a younger one does. */
  signs_from: Time;
}

interface LoginFailuresTable {
  /** What failed: an account from an address, or an address. */
  key: string;
  failures: number;
  last_at: Time;
}

/** A number for each thing that processes keep in memory, which grows when that changes. */
interface AuthVersionsTable {
  name: string;
  version: number;
}

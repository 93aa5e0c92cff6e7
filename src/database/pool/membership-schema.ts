export interface MembershipSchema {
  pool_authority: AuthorityTable;
  join_tokens: JoinTokensTable;
  worker_identities: WorkerIdentitiesTable;
}

/** Whose certificates tell gateways and workers from others: one row. */
interface AuthorityTable {
  id: number;
  /** PEM. */
  certificate: string;
  /** PKCS #8 in PEM: who reads this database can be anybody in the pool. */
  private_key: string;
  created_at: number;
}

/** What lets a machine join once. Times are of the database's clock, in milliseconds since 1970. */
interface JoinTokensTable {
  id: string;
  /** SHA-256 of the token, in hex. */
  hash: string;
  created_at: number;
  expires_at: number;
  used_at: number | null;
  /** The digest of the public key that joined with it: the same key may ask again. */
  used_by: string | null;
}

/** Who may say that it is a worker of this name. */
interface WorkerIdentitiesTable {
  name: string;
  /** SHA-256 of its public key (SPKI), in hex. */
  key_digest: string;
  joined_at: number;
}

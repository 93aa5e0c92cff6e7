export interface TenantsSchema {
  tenant_policies: TenantPoliciesTable;
  tenant_members: TenantMembersTable;
  pool_clients: PoolClientsTable;
  tenant_remains: TenantRemainsTable;
}

/** What is still on workers of tenants that were removed. */
interface TenantRemainsTable {
  tenant: string;
  /** Its name. */
  worker: string;
  /** By then nobody asks for it in the tenant's name any more. */
  due_at: number;
}

/** What a tenant may; one without a row may use the pool as nobody may in particular: see `tenantPolicy`. */
interface TenantPoliciesTable {
  tenant: string;
  /** JSON: `TenantPolicy`. */
  policy: string;
}

/** Who of the registry's users, robots, groups and trust policies belongs to which tenants. */
interface TenantMembersTable {
  /** `user:ada`, `robot:ci`, `group:devs`, `federated:main` */
  subject: string;
  tenant: string;
  created_at: number;
}

/** Certificates that clients show. Times are of the database's clock, in milliseconds since 1970. */
interface PoolClientsTable {
  /** SHA-256 of its public key (SPKI), in hex. */
  key_digest: string;
  name: string;
  /** Who shows it: `user:ada`, `robot:ci`. */
  subject: string;
  created_at: number;
  expires_at: number;
}

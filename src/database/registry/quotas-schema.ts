import type { Generated } from 'kysely';

/** What namespaces may hold and what they do hold. A namespace is the first segment of a repository's name. */
export interface QuotasSchema {
  quotas: QuotasTable;
  namespace_blobs: NamespaceBlobsTable;
  namespace_usage: NamespaceUsageTable;
}

interface QuotasTable {
  /** `*` is for every namespace without a row of its own. */
  namespace: string;
  /** In bytes. */
  bytes: number;
  updated_at: number;
}

/** Each blob that a repository of the namespace sees, once. */
interface NamespaceBlobsTable {
  namespace: string;
  digest: string;
  size: number;
}

/**
 * A namespace's bytes are the sum of these. A change appends a row and touches none that another push needs; they
 * are added up into one now and then.
 */
interface NamespaceUsageTable {
  id: Generated<number>;
  namespace: string;
  bytes: number;
}

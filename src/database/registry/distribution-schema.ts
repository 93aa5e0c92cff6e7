import type { Generated } from 'kysely';

/** Milliseconds since 1970. */
type Time = number;

/** What was pushed. Names of repositories and digests are checked before they get here. */
export interface DistributionSchema {
  repositories: RepositoriesTable;
  blobs: BlobsTable;
  repository_blobs: RepositoryBlobsTable;
  manifests: ManifestsTable;
  manifest_references: ManifestReferencesTable;
  tags: TagsTable;
  referrers: ReferrersTable;
  uploads: UploadsTable;
}

interface RepositoriesTable {
  id: Generated<number>;
  name: string;
  created_at: Time;
}

/** Where each digest's bytes are, whichever repositories may see them. */
interface BlobsTable {
  digest: string;
  size: number;
  /** In the content store; unique, and not derived from the digest. */
  location: string;
  created_at: Time;
}

/** Which digests a repository may see. */
interface RepositoryBlobsTable {
  repository_id: number;
  digest: string;
  created_at: Time;
}

interface ManifestsTable {
  repository_id: number;
  digest: string;
  media_type: string;
  /** The bytes as they were pushed. */
  payload: Uint8Array;
  created_at: Time;
}

/** What a manifest points at: config and layers, or the manifests of an index. */
interface ManifestReferencesTable {
  id: Generated<number>;
  repository_id: number;
  manifest: string;
  kind: 'blob' | 'manifest';
  digest: string;
}

interface TagsTable {
  repository_id: number;
  name: string;
  manifest: string;
  updated_at: Time;
}

/** The manifests that name a subject, as the Referrers API describes them. */
interface ReferrersTable {
  repository_id: number;
  subject: string;
  digest: string;
  artifact_type: string | null;
  /** A descriptor as JSON. */
  descriptor: string;
}

/** Uploads under way; how far one got is what the content store says. */
interface UploadsTable {
  id: string;
  repository: string;
  location: string;
  algorithm: 'sha256' | 'sha512';
  created_at: Time;
  /** The process that works on it now, if one does and is alive. */
  holder: Generated<string | null>;
  /** By the database's clock: from then on the holder counts as dead. */
  held_until: Generated<Time>;
  /** Another, larger one for each request that worked on it. */
  token: Generated<number>;
  /** 1: a holder that counted as dead may still be writing to the location. */
  suspect: Generated<number>;
}

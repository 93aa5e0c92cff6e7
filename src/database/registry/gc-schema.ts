import type { Generated } from 'kysely';

/** Milliseconds since 1970, by the database's clock. */
type Time = number;

/**
 * What may have become garbage, and when to look at it. Triggers fill the first three queues, whoever makes the
 * change; a row says "look", not "delete". None has a foreign key: a row whose subject is gone is dropped when its turn
 * comes.
 */
export interface GcSchema {
  gc_manifest_queue: ReviewTable;
  gc_link_queue: ReviewTable;
  gc_blob_queue: BlobReviewTable;
  gc_locations: LocationsTable;
  gc_settings: SettingsTable;
  gc_totals: TotalsTable;
}

/** Manifests that lost a tag, an index or a subject; links of repositories to blobs that lost a manifest. */
interface ReviewTable {
  repository_id: number;
  digest: string;
  review_after: Time;
}

/** Blobs that lost a repository. */
interface BlobReviewTable {
  digest: string;
  review_after: Time;
}

/** Content that no blob owns any more. It is deleted from the store, then from here. */
interface LocationsTable {
  location: string;
  /** In bytes. */
  size: number;
  /** Also the end of the lease of who deletes it now. */
  delete_after: Time;
  attempts: Generated<number>;
}

/** One row: what triggers add to the present. */
interface SettingsTable {
  id: number;
  delay: number;
  jitter: number;
}

/** One row: what was deleted since the registry began. */
interface TotalsTable {
  id: number;
  manifests: number;
  links: number;
  blobs: number;
  bytes: number;
}

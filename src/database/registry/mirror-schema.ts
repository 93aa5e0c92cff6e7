export interface MirrorSchema {
  mirrored_tags: MirroredTagsTable;
  mirrored_manifests: MirroredManifestsTable;
}

/** Tags that are what an upstream says. One that was pushed here instead has another manifest than this says. */
interface MirroredTagsTable {
  repository_id: number;
  name: string;
  manifest: string;
  /** When the upstream last said so. Milliseconds since 1970. */
  checked_at: number;
}

/** Manifests that came from an upstream, which can be asked for them again. */
interface MirroredManifestsTable {
  repository_id: number;
  digest: string;
  fetched_at: number;
}

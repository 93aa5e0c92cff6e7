export interface SearchSchema {
  manifest_texts: ManifestTextsTable;
}

/** What people say of a manifest, in its annotations and its image's labels. */
interface ManifestTextsTable {
  repository_id: number;
  digest: string;
  title: string | null;
  description: string | null;
  /** All of it in lower case, one `key=value` a line. */
  text: string;
  /** When the manifest came. */
  created_at: number;
}

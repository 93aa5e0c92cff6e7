/** Tables of `worker/build`. Times are ISO 8601 in UTC. */
export interface BuildTables {
  /** Steps that were run, and the file systems that came of them. */
  build_cache: {
    id: string;
    kind: string;
    description: string;
    /** JSON: the diff IDs, bottom first. */
    diff_ids: string;
    /** Of the topmost layer; null for an empty file system. */
    chain_id: string | null;
    /** Of the layer that the step added; 0 when it added none. */
    bytes: number;
    created_at: string;
    last_used_at: string;
    usage_count: number;
  };
  /** The keys that a step is found by. */
  build_cache_keys: {
    key: string;
    record_id: string;
  };
}

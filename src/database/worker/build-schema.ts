/** Tables of `worker/build`. Times are ISO 8601 in UTC. */
export interface BuildTables {
  /** Directories that RUNs keep from one build to the next. */
  build_cache_mounts: {
    /** Of the snapshot that holds its files. */
    key: string;
    /** What a mount is found by: its id, and what it began with. */
    name: string;
    /** For people: the id. */
    description: string;
    bytes: number;
    created_at: string;
    last_used_at: string;
    usage_count: number;
  };
  /** Steps that were done, and what came of them. */
  build_records: {
    id: string;
    kind: string;
    description: string;
    /** JSON: of each output the layers, bottom first: `[diffId, createdAt?]`. */
    outputs: string;
    /** Of the layers that the step added. */
    bytes: number;
    created_at: string;
    last_used_at: string;
    usage_count: number;
    /** 1: the registry that shares it has yet to get it. */
    unsent: number;
  };
  /** The keys that a record is found by. */
  build_record_keys: {
    key: string;
    record_id: string;
  };
  /** Builds that were, or are. */
  build_history: {
    ref: string;
    /** Rises with each change, so that a listener can be told what came since. */
    generation: number;
    created_at: string;
    completed_at: string | null;
    pinned: number;
    /** JSON: all else. */
    record: string;
    /** Of its log on disk. */
    log_bytes: number;
  };
  /** What steps were when they were last done, to tell why they are done again. */
  build_step_memos: {
    /** A Dockerfile and its context, by what tells them apart from others. */
    project: string;
    /** Stage and position. */
    place: string;
    /** JSON. */
    memo: string;
    noted_at: string;
  };
  /** What is kept with builds for their clients to look at: provenance, manifests, logs in BuildKit's form. */
  build_documents: {
    ref: string;
    digest: string;
    /** In the directory of the history; it holds all of one build's. */
    file: string;
    /** Where in it the document begins. */
    position: number;
    size: number;
  };
}

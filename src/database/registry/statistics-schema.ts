export interface StatisticsSchema {
  pulls: PullsTable;
}

/** How often something was pulled, and when last. */
interface PullsTable {
  repository_id: number;
  kind: 'repository' | 'tag' | 'manifest';
  /** A tag's name, a manifest's digest, `''` for the repository. */
  reference: string;
  pulls: number;
  /** Milliseconds since 1970. */
  last_pulled_at: number;
}

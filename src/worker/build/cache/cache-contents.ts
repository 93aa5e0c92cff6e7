/** One thing that the builder keeps between builds, as `docker buildx du` lists it. */
export interface CacheUsage {
  readonly id: string;
  /** `regular`, `source.local`, `exec.cachemount`, `source.git.checkout`, `internal`. */
  readonly type: string;
  /** What it is of: `exec`, `file`, `source`. */
  readonly kind: string;
  readonly description: string;
  readonly bytes: number;
  /** By a build under way. */
  readonly inUse: boolean;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  readonly usageCount: number;
  /** What it is made upon, by their ids. */
  readonly parents?: readonly string[];
}

/** A part of what the builder keeps: finished steps, cache mounts, synced directories. */
export interface CacheContents {
  usage(): Promise<readonly CacheUsage[]>;

  /** Forgets one, unless a build uses it. Answers the bytes freed; undefined: it stays, or is not there. */
  remove(id: string): Promise<number | undefined>;
}

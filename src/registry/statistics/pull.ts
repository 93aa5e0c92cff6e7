import type { Digest } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';

/** A manifest was asked for. */
export interface Pull {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  /** When it was asked for by tag. */
  readonly tag: Tag | undefined;
  /** HEAD: what a tag means was looked up, and nothing fetched yet. */
  readonly lookup: boolean;
  /** Tells clients apart. */
  readonly client: string;
}

/** Hears of every manifest that is handed out. Returns at once. */
export interface PullObserver {
  pulled(pull: Pull): void;
}

/** What is counted of a repository, of a tag or of a manifest. */
export interface PullCount {
  readonly kind: 'repository' | 'tag' | 'manifest';
  /** A tag's name, a manifest's digest, `''` for the repository. */
  readonly reference: string;
  readonly pulls: number;
  /** Milliseconds since 1970. */
  readonly lastPulledAt: number;
}

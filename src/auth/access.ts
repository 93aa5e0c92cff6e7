import type { RepositoryName } from '#oci/reference.ts';

/** What can be done to a repository. `delete` is not part of `push`: who may push may not take away. */
export const ACTIONS = ['pull', 'push', 'delete'] as const;
export type Action = (typeof ACTIONS)[number];

/** What a request may do, as its credentials or their absence say. Answers are immediate: nothing is looked up. */
export interface Access {
  /** Who asks: `user:ada`, `robot:ci`, `anonymous`. For logs and limits. */
  readonly principal: string;

  /** Whether it may do this. A token says so for the repositories that it was asked for, and for no others. */
  allows(repository: RepositoryName, action: Action): boolean;

  /**
   * Whether a push may take blobs from this repository: one that the caller may pull from. It is what it was granted
   * that counts, as it need not know which repository that is, and then cannot ask for a token.
   */
  mounts(repository: RepositoryName): boolean;

  /** Whether the caller came to see lists of repositories: the catalog, search. */
  readonly lists: boolean;

  /** Whether such a list may name this one to the caller, who may pull it. */
  sees(repository: RepositoryName): boolean;

  /**
   * Whether the caller came to administer, and may: the repositories that `pattern` names (`team/**`), and without
   * one everything, users and policies included.
   */
  administers(pattern?: string): boolean;
}

/** Everything for everyone: a registry without authentication, which only loopback can reach. */
export const OPEN_ACCESS: Access = {
  principal: 'anonymous',
  allows: () => true,
  mounts: () => true,
  lists: true,
  sees: () => true,
  administers: () => true,
};

import type { Permission } from '../policies/grant.ts';

/** Whose secret it is: `user:ada` or `robot:ci`. */
export type SecretOwner = `${'user' | 'robot'}:${string}`;

/** A password that Slipway made: a robot's, or a user's personal access token. Times: milliseconds since 1970. */
export interface Secret {
  readonly id: string;
  readonly owner: SecretOwner;
  readonly description: string;
  /** What it is good for at most; undefined for all that its owner may. */
  readonly permissions: readonly Permission[] | undefined;
  readonly expiresAt: number | undefined;
  readonly createdAt: number;
  /** To ten minutes. */
  readonly lastUsedAt: number | undefined;
}

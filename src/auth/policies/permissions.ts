import type { Action } from '../access.ts';
import type { GrantAction, Permission } from './grant.ts';
import { covers, EVERYTHING } from './pattern.ts';

/** What someone may do. */
export interface Permissions {
  allows(repository: string, action: Action): boolean;
  /** Whether they may decide about all that a pattern names; without one, about everything. */
  administers(pattern?: string): boolean;
}

/** What a list of permissions adds up to. */
export function permissionsOf(list: readonly Permission[]): Permissions {
  const some = (name: string, ...actions: GrantAction[]) =>
    list.some((it) => actions.some((action) => it.actions.includes(action)) && covers(it.pattern, name));
  return {
    allows: (repository, action) => some(repository, action, 'admin'),
    administers: (pattern = EVERYTHING) => some(pattern, 'admin'),
  };
}

/** What both allow. */
export function intersection(one: Permissions, other: Permissions | undefined): Permissions {
  if (!other) return one;
  return {
    allows: (repository, action) => one.allows(repository, action) && other.allows(repository, action),
    administers: (pattern) => one.administers(pattern) && other.administers(pattern),
  };
}

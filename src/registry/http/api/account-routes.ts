import type { Auth } from '#auth/auth.ts';
import { grantRoutes, groupRoutes } from './grants-routes.ts';
import type { Operation } from './operation.ts';
import { robotRoutes } from './robots-routes.ts';
import { secretRoutes } from './secrets-routes.ts';
import { keyRoutes, trustRoutes } from './trust-routes.ts';
import { userRoutes } from './users-routes.ts';

/** The services behind who may do what. */
export type Accounts = Pick<Auth, 'users' | 'robots' | 'secrets' | 'policies' | 'groups' | 'trust' | 'keys'>;

export function accountRoutes(accounts: Accounts): Operation[] {
  return [
    ...userRoutes(accounts),
    ...robotRoutes(accounts),
    ...secretRoutes(accounts),
    ...grantRoutes(accounts),
    ...groupRoutes(accounts),
    ...trustRoutes(accounts),
    ...keyRoutes(accounts),
  ];
}

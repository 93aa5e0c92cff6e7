import type { Federation } from '../../federation.ts';
import type { Housekeeping } from '../../housekeeping.ts';
import type { Registry } from '../../registry.ts';
import { type Accounts, accountRoutes } from './account-routes.ts';
import { auditRoutes } from './audit-routes.ts';
import { gcRoutes } from './gc-routes.ts';
import type { Operation } from './operation.ts';
import { quotaRoutes } from './quota-routes.ts';
import { replicationRoutes } from './replication-routes.ts';
import { retentionRoutes } from './retention-routes.ts';
import { searchRoutes } from './search-routes.ts';
import { statisticsRoutes } from './statistics-routes.ts';
import { webhookRoutes } from './webhook-routes.ts';

/** Every operation of the admin API; a file for each domain has its own. */
export function apiOperations(
  registry: Registry,
  federation?: Federation,
  accounts?: Accounts,
  housekeeping?: Housekeeping,
): Operation[] {
  return [
    ...auditRoutes(registry),
    ...(accounts ? accountRoutes(accounts) : []),
    ...(housekeeping
      ? [...gcRoutes(housekeeping), ...retentionRoutes(housekeeping), ...quotaRoutes(housekeeping)]
      : []),
    ...(federation
      ? [
          ...webhookRoutes(federation),
          ...replicationRoutes(federation),
          ...statisticsRoutes(federation),
          ...searchRoutes(federation),
        ]
      : []),
  ];
}

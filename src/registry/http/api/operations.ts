import type { Registry } from '../../registry.ts';
import { auditRoutes } from './audit-routes.ts';
import type { Operation } from './operation.ts';

/** Every operation of the admin API; a file for each domain has its own. */
export function apiOperations(registry: Registry): Operation[] {
  return [...auditRoutes(registry)];
}

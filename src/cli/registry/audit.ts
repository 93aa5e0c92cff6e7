import type { Logger } from 'pino';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Metrics } from '#observability/metrics.ts';
import { DenialLog } from '#registry/events/denial-log.ts';

/** Where denied requests are written down. Disposing writes what is left. */
export function openDenialLog(
  db: RegistryDatabase,
  { logger, metrics }: { logger: Logger; metrics: Metrics },
): DenialLog {
  const dropped = metrics.counter({
    name: 'slipway_audit_denials_dropped_total',
    help: 'Denied requests that were too many to be written to the audit log.',
  });
  return new DenialLog({ db, logger, dropped });
}

import type { Config } from '#config/schema.ts';
import { probeDatabase } from '#database/probe.ts';
import { Health } from '#observability/health.ts';
import type { Registry } from '#registry/registry.ts';
import type { Observability } from '../process/observability.ts';
import type { RegistryStorage } from './storage.ts';

type MonitoringConfig = Config['registry']['monitoring'];

/** What a readiness probe asks the store for; that it is not there is an answer. */
const NOWHERE = 'health';

/** Ready is a registry that reaches its database and its content. */
export function registryHealth({ db, content }: RegistryStorage, config: MonitoringConfig): Health {
  return new Health(
    [
      { name: 'database', probe: () => probeDatabase(db) },
      { name: 'storage', probe: () => content.stat(NOWHERE) },
    ],
    { timeout: config.checkTimeout },
  );
}

/** What is looked up when someone looks at the metrics. */
export function registryGauges({ uploads }: Pick<Registry, 'uploads'>, { metrics }: Observability): void {
  metrics.gauge({
    name: 'slipway_uploads_under_way',
    help: 'Uploads of blobs that have begun and not ended, of all processes.',
    read: () => uploads.underWay(),
  });
}

import { createServer } from 'node:http';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { probeDatabase } from '#database/probe.ts';
import { Health } from '#observability/health.ts';
import { createMonitoring, type Monitoring } from '#observability/monitoring.ts';
import type { Registry } from '#registry/registry.ts';
import { listen } from './listen.ts';
import type { Observability } from './registry-observability.ts';
import type { RegistryStorage } from './registry-storage.ts';

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

export function registryMonitoring(health: Health, observability: Observability, logger: Logger): Monitoring {
  const { metrics, metricsToken: token } = observability;
  const onNotReady = (checks: Readonly<Record<string, string>>) => logger.warn({ checks }, 'not ready');
  return createMonitoring({ health, metrics, token, onNotReady });
}

/** What is looked up when someone looks at the metrics. */
export function registryGauges({ uploads }: Pick<Registry, 'uploads'>, { metrics }: Observability): void {
  metrics.gauge({
    name: 'slipway_uploads_under_way',
    help: 'Uploads of blobs that have begun and not ended, of all processes.',
    read: () => uploads.underWay(),
  });
}

/** A listener for nothing else. */
export async function listenForMonitoring(monitoring: Monitoring, address: string): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    if (!monitoring(request, response)) response.writeHead(404).end();
  });
  server.unref();
  await listen(server, address);
  return {
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

import { createServer } from 'node:http';
import type { Logger } from 'pino';
import { createMonitoring, type Monitoring, type MonitoringOptions } from '#observability/monitoring.ts';
import { listen } from './listen.ts';
import type { Observability } from './observability.ts';

/** Answers who watches a role; why it is not ready is for its log. */
export function monitoringOf(
  health: MonitoringOptions['health'],
  { metrics, metricsToken: token }: Observability,
  logger: Logger,
): Monitoring {
  const onNotReady = (checks: Readonly<Record<string, string>>) => logger.warn({ checks }, 'not ready');
  return createMonitoring({ health, metrics, token, onNotReady });
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

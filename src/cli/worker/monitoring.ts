import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { probeDatabase } from '#database/probe.ts';
import { Health } from '#observability/health.ts';
import { listenForMonitoring, monitoringOf } from '../process/monitoring.ts';
import type { Observability } from '../process/observability.ts';
import { drain } from '../process/shutdown.ts';
import type { WorkerParts } from './parts.ts';

/** Serves the figures of a worker, and whether it is well, on a listener for nothing else, if there is to be one. */
export async function watchWorker(
  config: Config['worker']['monitoring'],
  parts: Pick<WorkerParts, 'database' | 'containers' | 'images' | 'builds'>,
  observability: Observability,
  { logger, started }: { logger: Logger; started: AsyncDisposableStack },
): Promise<void> {
  if (config.listen === null) return;
  gauges(parts, observability);
  const health = new Health([{ name: 'database', probe: () => probeDatabase(parts.database) }], {
    timeout: config.checkTimeout,
  });
  started.use(await listenForMonitoring(monitoringOf(health, observability, logger), config.listen));
  started.defer(() => drain(health, 0));
}

/** What is looked up when someone looks at the metrics. */
function gauges(
  { containers, images, builds }: Pick<WorkerParts, 'containers' | 'images' | 'builds'>,
  { metrics }: Observability,
): void {
  metrics.gauge<'state'>({
    name: 'slipway_containers',
    help: 'Containers by what they are: running, paused, stopped.',
    labels: ['state'],
    read: () => {
      const { running, paused, stopped } = containers.counts();
      return Object.entries({ running, paused, stopped }).map(([state, value]) => ({
        labels: { state },
        value,
      }));
    },
  });
  metrics.gauge({
    name: 'slipway_images',
    help: 'Images in the image store.',
    read: () => images.lister.count(),
  });
  metrics.gauge({
    name: 'slipway_builds_under_way',
    help: 'Builds that have begun or wait for their turn.',
    read: () => builds.underWay(),
  });
}

import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { OpenAuthenticator } from '#auth/open-authenticator.ts';
import type { ContentStore } from '#content/content-store.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { ObservedContentStore } from '#content/observed-content-store.ts';
import { probeDatabase } from '#database/probe.ts';
import { queryLog } from '#database/query-log.ts';
import { openRegistryDatabase, type RegistryDatabase } from '#database/registry/open.ts';
import { Health } from '#observability/health.ts';
import { createMonitoring } from '#observability/monitoring.ts';
import { Operations } from '#observability/operations.ts';
import { PrometheusMetrics } from '#observability/prometheus-metrics.ts';
import { NO_TRACER, type Tracer } from '#observability/tracer.ts';
import { createRegistryApp } from '#registry/http/registry-app.ts';
import { closeServer, createRegistryServer } from '#registry/http/registry-server.ts';
import { createRegistry } from '#registry/registry.ts';
import { DistributionClient } from './distribution-client.ts';

export interface ObservedRegistry extends AsyncDisposable {
  readonly client: DistributionClient;
  readonly db: RegistryDatabase;
  readonly health: Health;
  /** What it logged. */
  readonly lines: Record<string, unknown>[];
  /** A metric's value by its line up to the value. */
  metric(series: string): Promise<number | undefined>;
}

/** A registry in this process with all that observes it. */
export async function startObservedRegistry(
  options: { tracer?: Tracer; token?: string; content?: (store: ContentStore) => ContentStore } = {},
): Promise<ObservedRegistry> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-observed-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const { tracer = NO_TRACER, token } = options;
  const metrics = new PrometheusMetrics({ process: false });
  const log = queryLog(new Operations('database', { metrics, tracer }));
  const db = await openRegistryDatabase(join(folder, 'registry.db'), { log });
  started.defer(() => db.destroy());
  const files = new FilesystemContentStore(join(folder, 'blobs'));
  const content = new ObservedContentStore(
    options.content?.(files) ?? files,
    new Operations('content', { metrics, tracer }),
  );
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const registry = createRegistry({ db, content });
  const app = createRegistryApp(registry, {
    logger,
    authenticator: new OpenAuthenticator(),
    maxManifestSize: 4 * 2 ** 20,
    accessLog: 'info',
    metrics,
    tracer,
  });
  const probes = [
    { name: 'database', probe: () => probeDatabase(db) },
    { name: 'storage', probe: () => content.stat('health') },
  ];
  const health = new Health(probes, { timeout: 200 });
  const monitoring = createMonitoring({ health, metrics, token, onNotReady: () => {} });
  const server = createRegistryServer(app, { monitoring });
  started.defer(() => closeServer(server, 0));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new DistributionClient(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  started.defer(async () => client.close());
  const running = started.move();
  return {
    client,
    db,
    health,
    lines,
    metric: async (series) => {
      const line = (await metrics.text()).split('\n').find((text) => text.startsWith(`${series} `));
      return line === undefined ? undefined : Number(line.slice(series.length + 1));
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { probeDatabase } from '#database/probe.ts';
import { messageOf } from '#errors/errors.ts';
import { Health } from '#observability/health.ts';
import type { Metrics } from '#observability/metrics.ts';
import { ScaleHook } from '#pool/gateway/scale-hook.ts';
import type { PoolDemand } from '#pool/scheduler/demand.ts';
import { DemandRepository } from '#pool/scheduler/demand-repository.ts';
import { parseSecret } from '#webhooks/signature.ts';
import { listenForMonitoring, monitoringOf } from '../process/monitoring.ts';
import type { Observability } from '../process/observability.ts';
import { Refusal } from '../refusal.ts';

interface Ports {
  readonly db: PoolDatabase;
  readonly observability: Observability;
  readonly logger: Logger;
  readonly started: AsyncDisposableStack;
  /** Aborts when the gateway is asked to stop: it is not ready from then on. */
  readonly signal: AbortSignal;
}

/** Serves what a gateway and its pool do, and whether it is well, if there is to be a listener; tells the scale hook. */
export async function watchGateway({ gateway }: Config, ports: Ports): Promise<void> {
  const { db, observability, logger, started, signal } = ports;
  const demand = new DemandRepository(db);
  const { scale, monitoring } = gateway;
  if (scale.url !== null) {
    const { url, interval, minWorkers, maxWorkers, perWorker } = scale;
    const options = { url, interval, minWorkers, maxWorkers, perWorker, secret: secretIn(scale.secretFile) };
    started.use(new ScaleHook({ rows: demand, log: logger }, options));
  }
  if (monitoring.listen === null) return;
  gauges(demand, observability.metrics);
  const health = new Health([{ name: 'database', probe: () => probeDatabase(db) }], {
    timeout: monitoring.checkTimeout,
  });
  started.use(await listenForMonitoring(monitoringOf(health, observability, logger), monitoring.listen));
  signal.addEventListener('abort', () => health.drain());
}

/** What is looked up when someone looks at the metrics, once for all of them: of the pool, the same at each gateway. */
function gauges(rows: DemandRepository, metrics: Metrics): void {
  let reading: Promise<PoolDemand> | undefined;
  const read = (): Promise<PoolDemand> => {
    reading ??= rows.read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  const kinds = (figure: 'waiting' | 'running' | 'oldest') => async () => {
    const { builds, jobs } = (await read())[figure];
    return Object.entries({ build: builds, job: jobs }).map(([kind, value]) => ({ labels: { kind }, value }));
  };
  metrics.gauge<'kind'>({
    name: 'slipway_pool_queue_depth',
    help: 'Builds of clients that wait for a worker, and jobs that could begin.',
    labels: ['kind'],
    read: kinds('waiting'),
  });
  metrics.gauge<'kind'>({
    name: 'slipway_pool_under_way',
    help: 'Builds of clients and jobs that workers of the pool are at.',
    labels: ['kind'],
    read: kinds('running'),
  });
  metrics.gauge<'kind'>({
    name: 'slipway_pool_queue_oldest_seconds',
    help: 'For how long the oldest of those that wait has done so.',
    labels: ['kind'],
    read: kinds('oldest'),
  });
  metrics.gauge<'state'>({
    name: 'slipway_pool_workers',
    help: 'Workers of the pool by what they are: ready, draining, lost.',
    labels: ['state'],
    read: async () =>
      Object.entries((await read()).workers).map(([state, value]) => ({ labels: { state }, value })),
  });
}

function secretIn(file: string | null): string {
  if (file === null)
    throw new Refusal('gateway.scale.url needs gateway.scale.secretFile, by which calls are signed');
  try {
    return parseSecret(readFileSync(file, 'utf8').trim());
  } catch (error) {
    throw new Refusal(`gateway.scale.secretFile: ${messageOf(error)}`, { cause: error });
  }
}

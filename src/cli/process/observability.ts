import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { messageOf } from '#errors/errors.ts';
import { OtlpRelay } from '#observability/otlp-relay.ts';
import { PrometheusMetrics } from '#observability/prometheus-metrics.ts';
import { NO_TRACER, type Tracer } from '#observability/tracer.ts';
import type { Traces } from '#observability/traces.ts';
import { Refusal } from '../refusal.ts';
import { version } from '../version.ts';

export interface Observability extends AsyncDisposable {
  readonly metrics: PrometheusMetrics;
  readonly tracer: Tracer;
  /** Where clients' own traces may go, too. undefined: nothing is traced. */
  readonly traces: Traces | undefined;
  /** The bearer token that opens the metrics. */
  readonly metricsToken: string | undefined;
}

/** What a role tells about itself: its metrics, and its traces where they are wanted. */
export async function createObservability(
  role: 'registry' | 'worker' | 'gateway',
  config: Pick<Config, 'tracing' | 'registry' | 'worker' | 'gateway'>,
  logger: Logger,
): Promise<Observability> {
  const metrics = new PrometheusMetrics({ process: true });
  const { tokenFile } = config[role].monitoring;
  const metricsToken = tokenFile === null ? undefined : readToken(tokenFile, `${role}.monitoring.tokenFile`);
  const { endpoint, ratio } = config.tracing;
  if (endpoint === null)
    return { metrics, tracer: NO_TRACER, traces: undefined, metricsToken, async [Symbol.asyncDispose]() {} };
  // Read only here: it takes memory that most have no use for.
  const { OtelTracer } = await import('#observability/otel-tracer.ts');
  const onTrouble = (message: string) => logger.warn({ message }, 'traces could not be sent');
  const tracer = new OtelTracer({ endpoint, ratio, service: `slipway-${role}`, version, onTrouble });
  const traces = { tracer, relay: new OtlpRelay({ endpoint, onTrouble }) };
  return {
    metrics,
    tracer,
    traces,
    metricsToken,
    [Symbol.asyncDispose]: () => tracer[Symbol.asyncDispose](),
  };
}

function readToken(file: string, setting: string): string {
  try {
    const token = readFileSync(file, 'utf8').trim();
    if (token !== '') return token;
  } catch (error) {
    throw new Refusal(`${setting}: ${messageOf(error)}`, { cause: error });
  }
  throw new Refusal(`${setting}: ${file} is empty`);
}

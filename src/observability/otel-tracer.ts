import {
  context,
  DiagLogLevel,
  defaultTextMapGetter,
  defaultTextMapSetter,
  diag,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { messageOf } from '#errors/errors.ts';
import type { Attributes, Span, Tracer } from './tracer.ts';

export interface TracingOptions {
  /** Where OTLP over HTTP goes: `http://collector:4318/v1/traces`. */
  readonly endpoint: string;
  /** Which part of the traces that begin here is recorded, 0 to 1; those of others are as they say. */
  readonly ratio: number;
  /** `slipway-registry` */
  readonly service: string;
  readonly version: string;
  /** Traces that cannot be sent are dropped; this is how one hears of it. */
  onTrouble(message: string): void;
}

/** A tracer that exports; disposing sends what is left, for a second or two. */
export class OtelTracer implements Tracer, AsyncDisposable {
  readonly #provider: TracerProvider;
  readonly #tracer: ReturnType<TracerProvider['getTracer']>;
  readonly #contexts = new AsyncLocalStorageContextManager();
  readonly #propagator = new W3CTraceContextPropagator();

  constructor({ endpoint, ratio, service, version, onTrouble }: TracingOptions) {
    const ignored = () => {};
    const logger = { error: onTrouble, warn: onTrouble, info: ignored, debug: ignored, verbose: ignored };
    diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    const exporter = new OTLPTraceExporter({ url: endpoint, timeoutMillis: 10_000 });
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': service, 'service.version': version }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
      spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: 1_000 })],
    });
    this.#tracer = this.#provider.getTracer('slipway', version);
    // The exporter's own requests are kept out of the traces through the global context.
    context.setGlobalContextManager(this.#contexts.enable());
  }

  async request<T>(
    name: string,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    task: (span: Span) => Promise<T>,
  ): Promise<T> {
    const from = this.#propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
    const span = this.#tracer.startSpan(name, { kind: SpanKind.SERVER }, from);
    return await this.#within(span, from, () => task(handle(span)));
  }

  async span<T>(name: string, attributes: Attributes, task: () => Promise<T>): Promise<T> {
    const from = this.#contexts.active();
    const span = this.#tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, from);
    return await this.#within(span, from, task);
  }

  ended(name: string, milliseconds: number, attributes: Attributes): void {
    const from = this.#contexts.active();
    if (!trace.getSpan(from)?.isRecording()) return;
    const end = Date.now();
    this.#tracer
      .startSpan(name, { kind: SpanKind.CLIENT, attributes, startTime: end - milliseconds }, from)
      .end(end);
  }

  headers(): Record<string, string> {
    const carrier: Record<string, string> = {};
    this.#propagator.inject(this.#contexts.active(), carrier, defaultTextMapSetter);
    return carrier;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const shutdown = this.#provider.shutdown().catch(() => {});
    await Promise.race([shutdown, new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
    context.disable();
    diag.disable();
  }

  async #within<T>(span: OtelSpan, from: typeof ROOT_CONTEXT, task: () => Promise<T>): Promise<T> {
    try {
      return await this.#contexts.with(trace.setSpan(from, span), task);
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  }
}

function handle(span: OtelSpan): Span {
  return {
    traceId: span.isRecording() ? span.spanContext().traceId : undefined,
    set: (attributes) => void span.setAttributes(attributes),
    fail: (error) => fail(span, error),
  };
}

function fail(span: OtelSpan, error: unknown): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
}

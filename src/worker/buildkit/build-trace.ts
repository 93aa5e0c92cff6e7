import { digestOf, hexOf } from '#oci/digest.ts';
import type { BuildRecord, StepRecord } from '#worker/build/history/build-record.ts';

/** OpenTelemetry's codes, as Go writes them; an internal span. */
const STATUS = { unset: 'Unset', error: 'Error' } as const;
const INTERNAL = 1;
const NOBODY = { TraceID: '0'.repeat(32), SpanID: '0'.repeat(16), TraceFlags: '00' } as const;

interface SpanFacts {
  readonly name: string;
  readonly place: object;
  readonly parent: object;
  readonly start: Date;
  readonly end: Date;
  readonly error: string | undefined;
  readonly attributes: Readonly<Record<string, string | boolean>>;
}

/** A build and its steps as the spans of one trace, each a line of JSON, as `buildx history trace` reads them. */
export function* buildTrace(record: BuildRecord): Generator<Uint8Array> {
  const { ref, createdAt, completedAt = new Date(), error, frontend, steps } = record;
  const trace = hexOf(digestOf(`trace ${ref} ${createdAt.getTime()}`)).slice(0, 32);
  const place = (name: string) => ({
    TraceID: trace,
    SpanID: hexOf(digestOf(`span ${ref} ${name}`)).slice(0, 16),
    TraceFlags: '01',
  });
  const root = place('');
  yield line({
    name: 'build',
    place: root,
    parent: NOBODY,
    start: createdAt,
    end: completedAt,
    error: error?.message,
    attributes: { ref, ...(frontend && { frontend }) },
  });
  for (const step of steps.filter(({ startedAt }) => startedAt))
    yield line({ ...stepFacts(step, completedAt), place: place(step.digest), parent: root });
}

function stepFacts(step: StepRecord, over: Date): Omit<SpanFacts, 'place' | 'parent'> {
  const { digest: vertex, name, cached, missed, error, startedAt = over, completedAt = over } = step;
  const attributes = { vertex, cached, ...(missed !== undefined && { missed }) };
  return { name, start: startedAt, end: completedAt, error, attributes };
}

function line({ name, place, parent, start, end, error, attributes }: SpanFacts): Uint8Array {
  const span = {
    Name: name,
    SpanContext: { ...place, TraceState: '', Remote: false },
    Parent: { ...parent, TraceState: '', Remote: false },
    SpanKind: INTERNAL,
    StartTime: start.toISOString(),
    EndTime: end.toISOString(),
    Attributes: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    Events: null,
    Links: null,
    Status: { Code: error === undefined ? STATUS.unset : STATUS.error, Description: error ?? '' },
    DroppedAttributes: 0,
    DroppedEvents: 0,
    DroppedLinks: 0,
    ChildSpanCount: 0,
    Resource: [attribute('service.name', 'slipway')],
    InstrumentationLibrary: { Name: 'slipway', Version: '', SchemaURL: '', Attributes: null },
  };
  return Buffer.from(`${JSON.stringify(span)}\n`);
}

function attribute(key: string, value: string | boolean) {
  const type = typeof value === 'boolean' ? 'BOOL' : 'STRING';
  return { Key: key, Value: { Type: type, Value: value } };
}

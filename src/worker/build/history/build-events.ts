import type { LogEvent, ProgressSink, StatusEvent, VertexEvent, WarningEvent } from '../solve/progress.ts';

/** What a `ProgressSink` was told, as data. */
export type BuildEvent =
  | { readonly kind: 'vertex'; readonly event: VertexEvent }
  | { readonly kind: 'status'; readonly event: StatusEvent }
  | { readonly kind: 'log'; readonly event: LogEvent }
  | { readonly kind: 'warning'; readonly event: WarningEvent };

const TIMES = new Set(['started', 'completed', 'timestamp']);

/** One line of a log. */
export function encodeEvent(told: BuildEvent): Buffer {
  return Buffer.from(`${JSON.stringify([told.kind, plain(told)])}\n`);
}

export function decodeEvent(line: string): BuildEvent {
  const [kind, event] = JSON.parse(line, (name, value: unknown) =>
    typeof value === 'string' && TIMES.has(name) ? new Date(value) : value,
  );
  if (kind === 'log') return { kind, event: { ...event, data: bytesOf(event.data) } };
  if (kind !== 'warning' || !event.source) return { kind, event };
  const { info, ranges } = event.source;
  return { kind, event: { ...event, source: { info: { ...info, data: bytesOf(info.data) }, ranges } } };
}

/** With bytes as base64. */
function plain({ kind, event }: BuildEvent): object {
  if (kind === 'log') return { ...event, data: textOf(event.data) };
  if (kind !== 'warning' || !event.source) return event;
  const { info, ranges } = event.source;
  return { ...event, source: { info: { ...info, data: textOf(info.data) }, ranges } };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}

export async function tell(sink: ProgressSink, { kind, event }: BuildEvent): Promise<void> {
  if (kind === 'log') await sink.log(event);
  else if (kind === 'vertex') sink.vertex(event);
  else if (kind === 'status') sink.status(event);
  else sink.warning(event);
}

import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type {
  LogEvent,
  ProgressSink,
  StatusEvent,
  VertexEvent,
  WarningEvent,
} from '#worker/build/solve/progress.ts';
import { rangesToPb, sourceInfoToPb } from '../definition/source-pb.ts';
import type { StatusResponseSchema } from '../proto/github.com/moby/buildkit/api/services/control/control_pb.ts';

type Response = MessageInitShape<typeof StatusResponseSchema>;
type Member<K extends keyof Response> = NonNullable<Response[K]>[number];

/** A log waits beyond it until what was said before is sent. */
const MAX_LOG_BYTES = 1024 * 1024;
/** In one message. Events of a large build that is watched from its end would not fit into one. */
const MAX_EVENTS = 1_000;

/** A build's progress as the messages of one `Status` call: what happens while one is sent goes into the next. */
export class StatusFeed implements ProgressSink {
  #vertexes: Member<'vertexes'>[] = [];
  #statuses: Member<'statuses'>[] = [];
  #logs: Member<'logs'>[] = [];
  #warnings: Member<'warnings'>[] = [];
  #logBytes = 0;
  #ended: { error?: unknown } | undefined;
  #wake: (() => void) | undefined;
  readonly #waiting: (() => void)[] = [];

  vertex(event: VertexEvent): void {
    const { digest, inputs, name, cached, error, progressGroup } = event;
    this.#vertexes.push({
      digest,
      inputs: [...inputs],
      name,
      cached,
      error: error ?? '',
      started: time(event.started),
      completed: time(event.completed),
      progressGroup,
    });
    this.#stir();
  }

  status(event: StatusEvent): void {
    const { id, vertex, name } = event;
    const [started, completed] = [time(event.started), time(event.completed)];
    const counts = { current: BigInt(event.current), total: BigInt(event.total) };
    const status = { ID: id, vertex, name, ...counts, timestamp: time(event.timestamp), started, completed };
    const earlier = this.#statuses.findIndex((other) => other.vertex === vertex && other.ID === id);
    // Only the last counts, so a client that is slow to read does not make this grow.
    if (earlier >= 0) this.#statuses.splice(earlier, 1);
    this.#statuses.push(status);
    this.#stir();
  }

  async log({ vertex, stream, data, timestamp }: LogEvent): Promise<void> {
    this.#logs.push({ vertex, stream: stream === 'stdout' ? 1n : 2n, msg: data, timestamp: time(timestamp) });
    this.#logBytes += data.length;
    this.#stir();
    if (this.#logBytes > MAX_LOG_BYTES && !this.#ended) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  warning({ vertex, level, short, detail, url, source }: WarningEvent): void {
    this.#warnings.push({
      vertex,
      level: BigInt(level),
      short: Buffer.from(short),
      detail: detail.map((line) => Buffer.from(line)),
      url: url ?? '',
      ...(source && { info: sourceInfoToPb(source.info), ranges: rangesToPb(source.ranges) }),
    });
    this.#stir();
  }

  /** Nothing more happens, or nobody listens any more. */
  end(error?: unknown): void {
    this.#ended ??= error === undefined ? {} : { error };
    this.#stir();
    this.#release();
  }

  /** What has happened, until the end; throws what the end was told. */
  async *messages(): AsyncGenerator<Response> {
    try {
      for (;;) {
        const message = this.#take();
        if (message) yield message;
        else if (this.#ended) break;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
      if (this.#ended?.error !== undefined) throw this.#ended.error;
    } finally {
      this.end();
    }
  }

  #take(): Response | undefined {
    const vertexes = this.#vertexes.splice(0, MAX_EVENTS);
    const statuses = this.#statuses.splice(0, MAX_EVENTS);
    const warnings = this.#warnings.splice(0, MAX_EVENTS);
    const logs = this.#logs.splice(0, MAX_EVENTS);
    for (const { msg } of logs) this.#logBytes -= msg?.length ?? 0;
    if (this.#logBytes <= MAX_LOG_BYTES) this.#release();
    const empty = vertexes.length + statuses.length + warnings.length + logs.length === 0;
    return empty ? undefined : { vertexes, statuses, logs, warnings };
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #stir(): void {
    this.#wake?.();
  }
}

function time(date: Date | undefined) {
  return date && timestampFromDate(date);
}

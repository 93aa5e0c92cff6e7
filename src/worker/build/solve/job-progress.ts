import type { Vertex } from '../llb/vertex.ts';
import type { ProgressSink, VertexEvent } from './progress.ts';
import type { StepWatcher } from './step-broadcast.ts';

/**
 * What one build tells of its vertices, by BuildKit's rules: a vertex is told when it is known, when it starts and when
 * it is over. One that nobody had to look at, because what stands on it was found or has begun, is cached then.
 */
export class JobProgress {
  readonly #sink: ProgressSink;
  readonly #last = new Map<string, VertexEvent>();

  constructor(sink: ProgressSink) {
    this.#sink = sink;
  }

  known({ digest, inputs, metadata }: Vertex): void {
    if (this.#last.has(digest)) return;
    this.#tell({
      digest,
      inputs: inputs.map((input) => input.vertex.digest),
      name: metadata.name,
      cached: false,
      ...(metadata.progressGroup && { progressGroup: metadata.progressGroup }),
    });
  }

  /** What a step tells becomes what this vertex tells. */
  watcher({ digest }: Vertex): StepWatcher {
    return {
      started: (at) => this.#started(digest, { started: at, cached: false }),
      status: (event) => this.#sink.status({ ...event, vertex: digest }),
      log: (event) => this.#sink.log({ ...event, vertex: digest }),
      completed: (at, { cached, error }) => {
        const { started = at } = this.#last.get(digest)!;
        const over = { started, completed: at, cached, ...(error !== undefined && { error }) };
        if (cached) this.#started(digest, over);
        else this.#tell({ ...this.#fresh(digest), ...over });
      },
    };
  }

  /** It cannot even be told what it is. What it stands on may be under way, or not begun. */
  failed({ digest }: Vertex, error: string): void {
    const at = new Date();
    this.#tell({ ...this.#fresh(digest), started: at, completed: at, error });
  }

  /** The build is over: what has not come to an end was cancelled. */
  end(): void {
    const completed = new Date();
    for (const event of this.#last.values()) {
      if (event.started && !event.completed) this.#tell({ ...event, completed, error: 'context canceled' });
    }
  }

  #started(digest: string, change: Partial<VertexEvent>): void {
    this.#passOver(digest, change.started!);
    this.#tell({ ...this.#fresh(digest), ...change });
  }

  /** Without what an earlier try said. */
  #fresh(digest: string): VertexEvent {
    const { started, completed, error, ...rest } = this.#last.get(digest)!;
    return rest;
  }

  #passOver(digest: string, at: Date): void {
    const passed = new Map<string, VertexEvent>();
    const open = [digest];
    for (let current = open.pop(); current !== undefined; current = open.pop()) {
      for (const input of this.#last.get(current)!.inputs) {
        const event = this.#last.get(input);
        if (!event || event.started || passed.has(input)) continue;
        passed.set(input, { ...event, started: at, completed: at, cached: true });
        open.push(input);
      }
    }
    for (const event of [...passed.values()].reverse()) this.#tell(event);
  }

  #tell(event: VertexEvent): void {
    this.#last.set(event.digest, event);
    this.#sink.vertex(event);
  }
}

import type { SourceRange } from '../llb/source-info.ts';

/** Hears what happens in a build, in the words of BuildKit's `StatusResponse`. Calls are in order of time. */
export interface ProgressSink {
  /** A vertex is known, has begun, or is over: the last one told counts. */
  vertex(event: VertexEvent): void;
  /** One of the things that go on within a vertex: a layer being fetched, a context being received. */
  status(event: StatusEvent): void;
  /** What a command wrote. Resolves when the next may follow. */
  log(event: LogEvent): Promise<void>;
  warning(event: WarningEvent): void;
}

export interface VertexEvent {
  readonly digest: string;
  readonly inputs: readonly string[];
  readonly name: string;
  readonly started?: Date;
  readonly completed?: Date;
  readonly cached: boolean;
  /** Why it failed, or `context canceled`. */
  readonly error?: string;
  readonly progressGroup?: { readonly id: string; readonly name: string; readonly weak: boolean };
}

export interface StatusEvent {
  readonly vertex: string;
  readonly id: string;
  readonly name: string;
  /** Bytes, or what `name` counts; `total` is 0 while unknown. */
  readonly current: number;
  readonly total: number;
  readonly timestamp: Date;
  readonly started?: Date;
  readonly completed?: Date;
}

export interface LogEvent {
  readonly vertex: string;
  readonly stream: 'stdout' | 'stderr';
  readonly data: Uint8Array;
  readonly timestamp: Date;
}

export interface WarningEvent {
  readonly vertex: string;
  readonly level: number;
  readonly short: string;
  readonly detail: readonly string[];
  readonly url?: string;
  readonly source?: SourceRange;
}

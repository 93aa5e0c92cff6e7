import type { ProgressSink } from '../solve/progress.ts';
import type { BuildRecord } from './build-record.ts';

/** How a build's log, its trace and its error are written for clients to read them later: the form is theirs. */
export interface RecordFormat {
  readonly log: {
    readonly mediaType: string;
    /** `replay` tells the log from its beginning. */
    encode(replay: (sink: ProgressSink) => Promise<void>): AsyncIterable<Uint8Array>;
  };
  /** Where the time of a build that is over went. */
  readonly trace: {
    readonly mediaType: string;
    encode(record: BuildRecord): Iterable<Uint8Array>;
  };
  readonly error: {
    readonly mediaType: string;
    /** `message` is what may be remembered of it. */
    encode(error: unknown, message: string): Uint8Array;
  };
}

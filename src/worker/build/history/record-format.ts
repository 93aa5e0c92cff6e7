import type { ProgressSink } from '../solve/progress.ts';

/** How a build's log and its error are written for clients to read them later: the form is theirs. */
export interface RecordFormat {
  readonly log: {
    readonly mediaType: string;
    /** `replay` tells the log from its beginning. */
    encode(replay: (sink: ProgressSink) => Promise<void>): AsyncIterable<Uint8Array>;
  };
  readonly error: {
    readonly mediaType: string;
    /** `message` is what may be remembered of it. */
    encode(error: unknown, message: string): Uint8Array;
  };
}

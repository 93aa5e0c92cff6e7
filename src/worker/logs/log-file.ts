import { canceled } from '#errors/errors.ts';
import { FileWatch } from './file-watch.ts';
import { alignToRecord } from './find-offset.ts';
import { decoder } from './log-decoder.ts';
import { type LogSegment, openSegment, segmentAfter } from './log-segments.ts';
import { findStart, type LogStart } from './log-start.ts';

/** A place in a log that stays the same when its files are renamed. */
export interface LogPosition {
  readonly segment: string;
  readonly offset: number;
}

export interface LogReadOptions {
  /** Default: both. */
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  /** Go on with what is written later, until `ended` has resolved and all of it was read. */
  readonly follow?: boolean;
  readonly ended?: Promise<unknown>;
  /** Only the last so many lines of what there is at the beginning. */
  readonly tail?: number;
  /** Inclusive, as `timeOfUnixSeconds` gives them. */
  readonly since?: string;
  readonly until?: string;
  /** Begin here, a result of `end()`, in place of `tail`. */
  readonly from?: LogPosition | undefined;
  /** Merge neighbouring output of one stream into larger chunks, each with the time of its first byte. */
  readonly raw?: boolean;
  /** Ends the reading with `canceled`. */
  readonly signal?: AbortSignal;
}

export interface LogEntry {
  readonly stream: 'stdout' | 'stderr';
  /** RFC 3339 in UTC with nine digits. */
  readonly time: string;
  /** The output's exact bytes, its newline included. The consumer may keep them. */
  readonly data: Uint8Array;
  /** The line goes on in the next entry of this stream (or was the last, without a newline). */
  readonly partial: boolean;
}

const BUFFER_SIZE = 64 * 1024;
const NEWLINE = 0x0a;

/**
 * The log that a monitor writes while its process runs, with the older files that rotations left: a reader sees one
 * log. Any number of readers read it at once.
 */
export class LogFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The place after the last whole record: reading from here gives only what comes later. */
  async end(): Promise<LogPosition> {
    const segment = await openSegment(this.path, 0);
    if (!segment) return { segment: '', offset: 0 };
    await using file = segment.file;
    return { segment: segment.id, offset: await alignToRecord(file, (await file.stat()).size) };
  }

  /** A file that does not exist (yet) is an empty one. */
  async *read(options: LogReadOptions = {}): AsyncGenerator<LogEntry, void> {
    using watch = new FileWatch(this.path);
    const state = followState(options, watch);
    const start = await this.#startWhenFollowed(options, watch, state);
    if (!start) return;
    const decode = decoder(options);
    let { segment, offset } = start;
    try {
      while (true) {
        if (options.follow) watch.start(true);
        const ended = yield* this.#readSegment(segment, offset, { decode, state, watch });
        if (ended === 'done') return;
        await segment.file.close();
        segment = ended;
        offset = 0;
      }
    } finally {
      await segment.file.close();
    }
  }

  /** Reads a segment to its end, which comes when there is a next one, or nothing more to expect. */
  async *#readSegment(
    { file, id }: LogSegment,
    offset: number,
    { decode, state, watch }: { decode: ReturnType<typeof decoder>; state: FollowState; watch: FileWatch },
  ): AsyncGenerator<LogEntry, LogSegment | 'done'> {
    const buffer = Buffer.allocUnsafe(BUFFER_SIZE);
    let position = offset;
    let filled = 0;
    let next: LogSegment | undefined;
    try {
      while (true) {
        // Looked at before the read: what was written before the end is then read for certain.
        const last = !state.follow || state.ended;
        const { bytesRead } = await file.read(buffer, filled, BUFFER_SIZE - filled, position);
        if (state.aborted) throw canceled();
        if (bytesRead === 0) {
          if (next) break;
          next = await segmentAfter(this.path, id);
          // The writer has let go of this one: what it wrote to the last is there now.
          if (next) continue;
          if (last) return 'done';
          if ((await file.stat()).size < position) position = filled = 0;
          else await watch.changed();
          continue;
        }
        position += bytesRead;
        filled += bytesRead;
        const whole = buffer.lastIndexOf(NEWLINE, filled - 1) + 1;
        const { entries, done } = decode(buffer, whole);
        yield* entries;
        if (done) return 'done';
        buffer.copyWithin(0, whole, filled);
        // A line that does not fit is no record of ours: it must not stop the reading.
        filled = filled - whole === BUFFER_SIZE ? 0 : filled - whole;
      }
      const result = next;
      next = undefined;
      return result;
    } finally {
      await next?.file.close();
    }
  }

  async #startWhenFollowed(
    options: LogReadOptions,
    watch: FileWatch,
    state: FollowState,
  ): Promise<LogStart | undefined> {
    const start = await findStart(this.path, options);
    if (start || !state.follow) return start;
    watch.start(false);
    while (true) {
      const last = state.ended;
      const created = await findStart(this.path, options);
      if (created || last) return created;
      await watch.changed();
      if (state.aborted) throw canceled();
    }
  }
}

interface FollowState {
  readonly follow: boolean;
  readonly ended: boolean;
  readonly aborted: boolean;
}

/** Whatever ends the reading wakes the reader. */
function followState({ follow = false, ended, signal }: LogReadOptions, watch: FileWatch): FollowState {
  let over = false;
  const end = () => {
    over = true;
    watch.wake();
  };
  if (follow) ended?.then(end, end);
  signal?.addEventListener('abort', () => watch.wake(), { once: true });
  return {
    follow,
    get ended() {
      return over;
    },
    get aborted() {
      return signal?.aborted ?? false;
    },
  };
}

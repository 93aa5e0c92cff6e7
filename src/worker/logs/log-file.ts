import { type FileHandle, open } from 'node:fs/promises';
import { canceled, systemCode } from '#errors/errors.ts';
import { FileWatch } from './file-watch.ts';
import { alignToRecord, offsetOfTail, offsetOfTime } from './find-offset.ts';
import { decoder } from './log-decoder.ts';

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
  /** Begin at this offset, a result of `size()`, in place of `tail`. */
  readonly from?: number;
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

/** The log that a monitor writes while its process runs. Any number of readers read it at once. */
export class LogFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The offset after the last whole record: reading from here gives only what comes later. */
  async size(): Promise<number> {
    const file = await this.#open();
    if (!file) return 0;
    await using _ = file;
    return alignToRecord(file, (await file.stat()).size);
  }

  /** A file that does not exist (yet) is an empty one. */
  async *read(options: LogReadOptions = {}): AsyncGenerator<LogEntry, void> {
    using watch = new FileWatch(this.path);
    const state = followState(options, watch);
    const file = await this.#openWhenFollowed(watch, state);
    if (!file) return;
    await using _ = file;
    if (options.follow) watch.start(true);
    const decode = decoder(options);
    const buffer = Buffer.allocUnsafe(BUFFER_SIZE);
    let position = await startOffset(file, options);
    let filled = 0;
    while (true) {
      // Looked at before the read: what was written before the end is then read for certain.
      const last = !options.follow || state.ended;
      const { bytesRead } = await file.read(buffer, filled, BUFFER_SIZE - filled, position);
      if (state.aborted) throw canceled();
      if (bytesRead === 0) {
        if (last) return;
        if ((await file.stat()).size < position) position = filled = 0;
        else await watch.changed();
        continue;
      }
      position += bytesRead;
      filled += bytesRead;
      const whole = buffer.lastIndexOf(NEWLINE, filled - 1) + 1;
      const { entries, done } = decode(buffer, whole);
      yield* entries;
      if (done) return;
      buffer.copyWithin(0, whole, filled);
      // A line that does not fit is no record of ours: it must not stop the reading.
      filled = filled - whole === BUFFER_SIZE ? 0 : filled - whole;
    }
  }

  async #openWhenFollowed(watch: FileWatch, state: FollowState): Promise<FileHandle | undefined> {
    const file = await this.#open();
    if (file || !state.follow) return file;
    watch.start(false);
    while (true) {
      const last = state.ended;
      const created = await this.#open();
      if (created || last) return created;
      await watch.changed();
      if (state.aborted) throw canceled();
    }
  }

  async #open(): Promise<FileHandle | undefined> {
    try {
      return await open(this.path, 'r');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
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

async function startOffset(file: FileHandle, options: LogReadOptions): Promise<number> {
  const { from, tail, since, stdout = true, stderr = true } = options;
  if (from !== undefined) return from;
  if (tail === undefined && since === undefined) return 0;
  const end = await alignToRecord(file, (await file.stat()).size);
  if (tail !== undefined) return offsetOfTail(file, end, tail, { stdout, stderr });
  return offsetOfTime(file, end, since!);
}

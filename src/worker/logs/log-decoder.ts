import type { LogEntry, LogReadOptions } from './log-file.ts';
import { type RecordView, recordsIn, timeOf } from './log-record.ts';

export interface Decoded {
  readonly entries: LogEntry[];
  /** Everything that follows is past `until`. */
  readonly done: boolean;
}

/** Turns the whole records at the beginning of a buffer into what a reader with these options sees. */
export function decoder(options: LogReadOptions): (buffer: Buffer, length: number) => Decoded {
  const { stdout = true, stderr = true, since, until, raw } = options;
  const wanted = { stdout, stderr };
  const timed = since !== undefined || until !== undefined;
  return (buffer, length) => {
    const output = raw ? new MergedOutput(buffer, length) : new SeparateOutput(buffer);
    for (const record of recordsIn(buffer, length)) {
      if (!wanted[record.stream]) continue;
      if (timed) {
        const time = timeOf(buffer, record);
        if (since !== undefined && time < since) continue;
        if (until !== undefined && time > until) return { entries: output.entries(), done: true };
      }
      output.add(record);
    }
    return { entries: output.entries(), done: false };
  };
}

/** One entry a record. */
class SeparateOutput {
  readonly #source: Buffer;
  readonly #entries: LogEntry[] = [];

  constructor(source: Buffer) {
    this.#source = source;
  }

  add(record: RecordView): void {
    const { stream, partial, contentStart, contentEnd } = record;
    const data = Buffer.from(this.#source.subarray(contentStart, partial ? contentEnd : contentEnd + 1));
    this.#entries.push({ stream, time: timeOf(this.#source, record), data, partial });
  }

  entries(): LogEntry[] {
    return this.#entries;
  }
}

/** One entry a run of records of one stream. */
class MergedOutput {
  readonly #source: Buffer;
  readonly #target: Buffer;
  readonly #entries: LogEntry[] = [];
  #first: RecordView | undefined;
  #last: RecordView | undefined;
  #start = 0;
  #end = 0;

  constructor(source: Buffer, length: number) {
    this.#source = source;
    // Output is always shorter than the records it is in.
    this.#target = Buffer.allocUnsafe(length);
  }

  add(record: RecordView): void {
    if (this.#first && this.#first.stream !== record.stream) this.#flush();
    this.#first ??= record;
    this.#last = record;
    const { partial, contentStart, contentEnd } = record;
    this.#end += this.#source.copy(
      this.#target,
      this.#end,
      contentStart,
      partial ? contentEnd : contentEnd + 1,
    );
  }

  entries(): LogEntry[] {
    this.#flush();
    return this.#entries;
  }

  #flush(): void {
    if (!this.#first || !this.#last) return;
    const data = this.#target.subarray(this.#start, this.#end);
    const { stream } = this.#first;
    this.#entries.push({
      stream,
      time: timeOf(this.#source, this.#first),
      data,
      partial: this.#last.partial,
    });
    this.#start = this.#end;
    this.#first = undefined;
  }
}

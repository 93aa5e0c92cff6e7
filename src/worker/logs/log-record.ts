import { normalizeTime } from './log-time.ts';

const SPACE = 0x20;
const NEWLINE = 0x0a;
const LETTER_E = 0x65;
const LETTER_P = 0x50;

/**
 * One line of a log file, `<time> stdout|stderr F|P <bytes>`, as offsets into the buffer it was read into.
 * F: the output had a newline here; P: it did not, and goes on in the next record of this stream.
 */
export interface RecordView {
  /** Of the record itself: from `start` to `end`, which is after its newline. */
  readonly start: number;
  readonly end: number;
  readonly timeEnd: number;
  readonly stream: 'stdout' | 'stderr';
  readonly partial: boolean;
  /** The output's bytes. With `partial` false, the newline at `contentEnd` is part of the output. */
  readonly contentStart: number;
  readonly contentEnd: number;
}

/** The record that begins at `start` and ends with the newline at `newline`; undefined when it is none. */
export function viewRecord(buffer: Buffer, start: number, newline: number): RecordView | undefined {
  const space = buffer.indexOf(SPACE, start);
  // time SPACE stdout SPACE F SPACE
  const contentStart = space + 10;
  if (space < 0 || contentStart > newline) return undefined;
  if (buffer[space + 7] !== SPACE || buffer[space + 9] !== SPACE) return undefined;
  return {
    start,
    end: newline + 1,
    timeEnd: space,
    stream: buffer[space + 4] === LETTER_E ? 'stderr' : 'stdout',
    partial: buffer[space + 8] === LETTER_P,
    contentStart,
    contentEnd: newline,
  };
}

/** The whole records in the first `length` bytes; what they are not, such as a line torn by a crash, is left out. */
export function* recordsIn(buffer: Buffer, length: number): Generator<RecordView> {
  for (let start = 0; start < length; ) {
    const newline = buffer.indexOf(NEWLINE, start);
    if (newline < 0 || newline >= length) return;
    const record = viewRecord(buffer, start, newline);
    if (record) yield record;
    start = newline + 1;
  }
}

export function timeOf(buffer: Buffer, record: RecordView): string {
  return normalizeTime(buffer.toString('latin1', record.start, record.timeEnd));
}

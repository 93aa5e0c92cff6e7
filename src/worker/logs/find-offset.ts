import type { FileHandle } from 'node:fs/promises';
import { recordsIn, timeOf, viewRecord } from './log-record.ts';

const BLOCK = 64 * 1024;
const NEWLINE = 0x0a;

export interface Streams {
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** The end of the last whole record before `size`: a record may be just being written. */
export async function alignToRecord(file: FileHandle, size: number): Promise<number> {
  const start = Math.max(0, size - BLOCK);
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(size - start), 0, size - start, start);
  return start + buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
}

/**
 * Looks for the beginning of the last so many lines of output from the end: the cost is that of the lines asked for,
 * not of the log (moby#21265). Records that together make one line of output count once.
 */
export class TailSearch {
  readonly #lines: number;
  readonly #streams: Streams;
  readonly #seen = { stdout: false, stderr: false };
  #found = 0;

  constructor(lines: number, streams: Streams) {
    this.#lines = lines;
    this.#streams = streams;
  }

  /** Where they begin in this file; undefined when they begin before it. Files are searched latest first. */
  async offsetIn(file: FileHandle, end: number): Promise<number | undefined> {
    if (this.#lines <= 0) return end;
    for await (const { record, offset } of recordsBackwards(file, end)) {
      if (!this.#streams[record.stream]) continue;
      // A record that ends a line; the last one of its stream does, even without its newline.
      const endsLine = !record.partial || !this.#seen[record.stream];
      this.#seen[record.stream] = true;
      if (endsLine && ++this.#found > this.#lines) return offset + (record.end - record.start);
    }
    return undefined;
  }
}

async function* recordsBackwards(file: FileHandle, end: number) {
  let block = Buffer.alloc(0);
  let position = end;
  while (position > 0) {
    const size = Math.min(BLOCK, position);
    position -= size;
    const { buffer } = await file.read(Buffer.allocUnsafe(size), 0, size, position);
    block = Buffer.concat([buffer, block]);
    // All lines but the first, which began before this block.
    let newline = block.length - 1;
    while (newline > 0) {
      const previous = block.lastIndexOf(NEWLINE, newline - 1);
      if (previous < 0) break;
      const record = viewRecord(block, previous + 1, newline);
      if (record) yield { record, offset: position + previous + 1 };
      newline = previous;
    }
    // A line that fits no block is no record of ours: it is not collected without bound.
    block = newline < BLOCK ? block.subarray(0, newline + 1) : Buffer.alloc(0);
  }
  if (block.length > 0) {
    const record = viewRecord(block, 0, block.length - 1);
    if (record) yield { record, offset: 0 };
  }
}

/** Whether the file begins with a record of before `time`, so that nothing earlier is of interest. */
export async function beginsBefore(file: FileHandle, time: string): Promise<boolean> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(BLOCK), 0, BLOCK, 0);
  const record = recordsIn(buffer, bytesRead).next().value;
  return record !== undefined && timeOf(buffer, record) < time;
}

/** An offset of a record at or before the first one of `time` or later: records are in the order of time. */
export async function offsetOfTime(file: FileHandle, end: number, time: string): Promise<number> {
  const buffer = Buffer.allocUnsafe(BLOCK);
  let low = 0;
  let high = end;
  while (high - low > BLOCK) {
    const middle = Math.floor((low + high) / 2);
    const { bytesRead } = await file.read(buffer, 0, BLOCK, middle);
    const first = buffer.subarray(0, bytesRead).indexOf(NEWLINE) + 1;
    const rest = buffer.subarray(first, bytesRead);
    const record = recordsIn(rest, rest.length).next().value;
    if (record && timeOf(rest, record) < time) low = middle + first + record.start;
    else high = middle;
  }
  return low;
}

import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { systemCode } from '#errors/errors.ts';

/**
 * The files of one log. Its monitor writes to `path`; a rotation makes that `path.1`, what was `path.1` becomes
 * `path.2`, and so on.
 */
export interface LogSegment {
  readonly file: FileHandle;
  /** Stays the same however often the file is renamed. */
  readonly id: string;
}

/** How many rotated files are looked for. */
const MAX_SEGMENTS = 1000;

export function rotatedPath(path: string, index: number): string {
  return index === 0 ? path : `${path}.${index}`;
}

/** A segment by its place, 0 being the one that is written to; undefined when there is none. */
export async function openSegment(path: string, index: number): Promise<LogSegment | undefined> {
  try {
    const file = await open(rotatedPath(path, index), 'r');
    return { file, id: identity(await file.stat({ bigint: true })) };
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The ids of all segments, the one that is written to first. */
export async function segmentIds(path: string): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < MAX_SEGMENTS; index++) {
    const id = await segmentId(rotatedPath(path, index));
    // A rotation that was cut short, or is under way: the name is there and the monitor has not let go yet.
    if (id === undefined && index > 1) break;
    if (id !== undefined && !ids.includes(id)) ids.push(id);
  }
  return ids;
}

/**
 * The segment that follows the one with this id; the oldest one when that is gone, undefined when it is the one
 * that is written to.
 */
export async function segmentAfter(path: string, id: string): Promise<LogSegment | undefined> {
  if ((await segmentId(path)) === id) return undefined;
  // Names move while they are looked at: what was opened says which one it is.
  for (let attempt = 0; attempt < 100; attempt++) {
    const ids = await segmentIds(path);
    const place = ids.indexOf(id);
    if (place === 0) return undefined;
    const wanted = place < 0 ? ids.at(-1) : ids[place - 1];
    if (wanted === undefined) return undefined;
    const segment = await openById(path, wanted);
    if (segment) return segment;
  }
  return undefined;
}

/** A segment, wherever it is by now. */
export async function openById(path: string, id: string): Promise<LogSegment | undefined> {
  for (let index = 0; index < MAX_SEGMENTS; index++) {
    const segment = await openSegment(path, index);
    if (segment?.id === id) return segment;
    await segment?.file.close();
    if (!segment && index > 1) return undefined;
  }
  return undefined;
}

/** The id of the file that has this path now. */
export async function segmentId(path: string): Promise<string | undefined> {
  try {
    return identity(await stat(path, { bigint: true }));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The number alone is given to another file once this one is gone. */
function identity({ ino, birthtimeNs }: BigIntStats): string {
  return `${ino}-${birthtimeNs}`;
}

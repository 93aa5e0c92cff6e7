import { alignToRecord, beginsBefore, offsetOfTime, type Streams, TailSearch } from './find-offset.ts';
import type { LogReadOptions } from './log-file.ts';
import { type LogSegment, openById, openSegment, segmentIds } from './log-segments.ts';

export interface LogStart {
  readonly segment: LogSegment;
  readonly offset: number;
}

/** Where a reading begins; undefined when there is no log yet. The caller closes the segment. */
export async function findStart(path: string, options: LogReadOptions): Promise<LogStart | undefined> {
  const { from, tail, since, stdout = true, stderr = true } = options;
  if (from) return await positionOf(path, from);
  if (tail !== undefined) return await startOfTail(path, tail, { stdout, stderr });
  if (since !== undefined) return await startOfTime(path, since);
  return await oldest(path);
}

async function positionOf(
  path: string,
  { segment: id, offset }: NonNullable<LogReadOptions['from']>,
): Promise<LogStart | undefined> {
  const segment = await openById(path, id);
  // Rotated away since: what is left of it begins later.
  return segment ? { segment, offset } : await oldest(path);
}

async function startOfTail(path: string, lines: number, streams: Streams): Promise<LogStart | undefined> {
  const search = new TailSearch(lines, streams);
  return await searchBackwards(path, async ({ file }) =>
    search.offsetIn(file, await alignToRecord(file, (await file.stat()).size)),
  );
}

async function startOfTime(path: string, time: string): Promise<LogStart | undefined> {
  return await searchBackwards(path, async ({ file }) => {
    if (!(await beginsBefore(file, time))) return undefined;
    return await offsetOfTime(file, await alignToRecord(file, (await file.stat()).size), time);
  });
}

/** The latest segment in which `find` finds an offset; the beginning of the oldest one if in none. */
async function searchBackwards(
  path: string,
  find: (segment: LogSegment) => Promise<number | undefined>,
): Promise<LogStart | undefined> {
  let last: LogSegment | undefined;
  for (const id of await segmentIds(path)) {
    const segment = await openById(path, id);
    if (!segment) break;
    await last?.file.close();
    last = segment;
    const offset = await find(segment);
    if (offset !== undefined) return { segment, offset };
  }
  return last && { segment: last, offset: 0 };
}

async function oldest(path: string): Promise<LogStart | undefined> {
  for (const id of (await segmentIds(path)).reverse()) {
    const segment = await openById(path, id);
    if (segment) return { segment, offset: 0 };
  }
  const segment = await openSegment(path, 0);
  return segment && { segment, offset: 0 };
}

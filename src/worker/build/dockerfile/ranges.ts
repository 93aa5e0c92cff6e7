import type { Range } from '../llb/source-info.ts';

/** Whole lines, from 1; `last` may be left out for one. */
export function linesOf(first: number, last = first): Range {
  return { start: { line: first, character: 0 }, end: { line: Math.max(first, last), character: 0 } };
}

/** One range a line, which is how BuildKit's Dockerfile frontend fills `pb.Location.ranges`. */
export function lineByLine({ start, end }: Range): Range[] {
  return Array.from({ length: end.line - start.line + 1 }, (_, at) => linesOf(start.line + at));
}

/** Overlapping ranges as one, in the order of their lines. */
export function mergeRanges(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const range of [...ranges].sort((a, b) => a.start.line - b.start.line)) {
    const last = merged.at(-1);
    if (last === undefined || range.start.line > last.end.line) merged.push(range);
    else if (range.end.line > last.end.line) merged[merged.length - 1] = { ...last, end: range.end };
  }
  return merged;
}

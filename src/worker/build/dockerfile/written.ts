import type { Written } from './instructions.ts';
import { linesOf } from './ranges.ts';
import type { PlacedStatement } from './statement.ts';

/** What all instructions have in common. */
export function writtenOf(statement: PlacedStatement): Written {
  const { keyword, text, range, flags, flagRanges, comments } = statement;
  return {
    keyword,
    text,
    line: range.start.line,
    range,
    flags: flags.map((flag, at) => ({ text: flag.text, range: flagRanges[at]! })),
    comments,
  };
}

/** For an instruction that stands in no file: the API's own. */
export function unwritten(keyword: string, text: string): Written {
  return { keyword, text, line: 0, range: linesOf(0), flags: [], comments: [] };
}

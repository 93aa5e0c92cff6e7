import type { Range, SourceRange } from '../llb/source-info.ts';

/** How many lines an excerpt shows around the lines that it is about: of one line more than of several. */
const AROUND_ONE = 4;
const AROUND_SEVERAL = 2;
const RULER = '--------------------\n';

/** The lines that an error or a warning is about, marked, with some around them, as BuildKit prints them. */
export function formatSource({ info, ranges }: SourceRange): string {
  const lines = new TextDecoder().decode(info.data).split('\n');
  const first = ranges.reduce((least, { start }) => Math.min(least, start.line), Infinity);
  const last = ranges.reduce((most, range) => Math.max(most, lastLine(range)), 0);
  if (first > lines.length || first < 1) return '';
  const [from, to] = widened(first, Math.min(last, lines.length), lines.length);
  const marked = new Set(ranges.flatMap((range) => linesIn(range, from, to)));
  const shown = lines.slice(from - 1, to).map((line, at) => {
    const mark = marked.has(from + at) ? '>>>' : '   ';
    return ` ${String(from + at).padStart(3)} | ${mark} ${line}\n`;
  });
  return `${info.filename}:${first}\n${RULER}${shown.join('')}${RULER}`;
}

/** A line before and a line after, in turns; what one side does not have the other gets half of. */
function widened(first: number, last: number, total: number): [from: number, to: number] {
  const around = first === last ? AROUND_ONE : AROUND_SEVERAL;
  let [from, to] = [first, last];
  for (let added = 0; added < around; added++) {
    if (from > 1) {
      from--;
      added++;
    }
    if (to < total) {
      to++;
      added++;
    }
  }
  return [from, to];
}

function lastLine({ start, end }: Range): number {
  return Math.max(start.line, end.line);
}

function linesIn(range: Range, from: number, to: number): number[] {
  const first = Math.max(range.start.line, from);
  const last = Math.min(lastLine(range), to);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at);
}

import { type Result, ratio } from './measure.ts';

/** Results as Markdown: a row for each measure, each contestant with the ratio to it. */
export function markdownTable(names: readonly string[], results: readonly Result[]): string {
  const heads = names.flatMap((name, index) => (index === 0 ? [name] : [name, 'ratio']));
  const head = ['', ...heads, 'goal'];
  const rows = results.map((result) => [
    result.measure.name,
    ...result.values.flatMap((value, index) => [
      value === undefined ? 'failed' : `${format(value)} ${result.measure.unit}`,
      ...(index === 0 ? [] : [times(ratio(result, index))]),
    ]),
    goal(result),
  ]);
  const ruler = head.map((_, index) => (index === 0 ? '---' : '---:'));
  return [head, ruler, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

export function line(names: readonly string[], result: Result): string {
  const others = result.values.slice(1).map((value, index) => {
    const figure = value === undefined ? 'failed' : format(value);
    return `${names[index + 1]} ${figure} (${times(ratio(result, index + 1))})`;
  });
  return `${result.measure.name}: ${format(result.values[0]!)} ${result.measure.unit}; ${others.join(', ')}`;
}

function times(value: number | undefined): string {
  return value === undefined ? '' : `${value.toFixed(value < 10 ? 2 : 0)}×`;
}

/** The goal, and whether it was reached: against the worst of what is distribution. */
function goal(result: Result): string {
  const wanted = result.measure.goal;
  if (!wanted) return '';
  const [text, reached] =
    'most' in wanted
      ? [`≤ ${wanted.most} ${result.measure.unit}`, result.values[0]! <= wanted.most]
      : [`≥ ${wanted.ratio}×`, (ratio(result, 1) ?? Infinity) >= wanted.ratio];
  return `${text} ${reached ? '✓' : '✗'}`;
}

function format(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

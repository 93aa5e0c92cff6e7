import xterm from '@xterm/headless';

const TIME = /\b\d+(?:\.\d+)?m?s\b/g;

/** What `--progress plain` printed: steps in order of names, without their numbers, times, and progress. */
export function plainText(output: string): string {
  const steps = new Map<string, string[]>();
  const rest: string[] = [];
  for (const line of output.split('\n')) {
    const [, number, text = ''] = /^#(\d+) (.*)$/.exec(line) ?? [];
    if (number === undefined) rest.push(line);
    else steps.set(number, [...(steps.get(number) ?? []), withoutTimes(text)]);
  }
  const blocks = [...steps.values()].map(([name, ...lines]) => {
    // What was cached is done too, unless that is told at once.
    const over = lines.filter(
      (line) => line !== name && !/^(?:\.\.\.|DONE T)$/.test(line) && !isUnderWay(line, lines),
    );
    return [name, ...over].join('\n');
  });
  return `${blocks.sort().join('\n')}\n${rest.map(withoutTimes).join('\n').trim()}\n`;
}

/** What was left on the terminal in the end, without times, in order of lines. */
export async function leftOnTerminal(output: string): Promise<string> {
  const terminal = new xterm.Terminal({ cols: 80, rows: 60, scrollback: 10_000, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(output, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from({ length: active.length }, (_, at) => active.getLine(at)!.translateToString(true));
  return `${lines.map(withoutTimes).sort().join('\n').trim()}\n`;
}

/** A transfer is told of while it goes on, as often as there is time for. */
function isUnderWay(line: string, lines: readonly string[]): boolean {
  return (
    !line.endsWith('done') &&
    lines.some((other) => other !== line && other.startsWith(`${line} `) && other.endsWith('done'))
  );
}

function withoutTimes(line: string): string {
  return line
    .replace(/^\d+\.\d+ /, 'T ')
    .replace(TIME, 'T')
    .replace(/(?: T)? done$/, ' done')
    .replace(/ +(?=T?$)/, ' ')
    .trimEnd();
}

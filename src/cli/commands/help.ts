import type { CommandShape, GroupShape, OptionDefinition } from './command.ts';

/** What `slipway NAME --help` prints for a group. */
export function groupHelp(name: string, { summary, commands }: GroupShape<CommandShape>): string {
  const rows = Object.entries(commands).map(
    ([sub, command]) => [[sub, ...(command.arguments ?? [])].join(' '), command.summary] as const,
  );
  return [
    `Usage: slipway ${name} COMMAND [OPTIONS]`,
    '',
    summary,
    '',
    'Commands:',
    ...aligned(rows),
    '',
    `\`slipway ${name} COMMAND --help\` says more.`,
    '',
  ].join('\n');
}

/** What `slipway NAME --help` prints for a command. */
export function commandHelp(
  name: string,
  command: CommandShape,
  global: Readonly<Record<string, OptionDefinition>>,
): string {
  const usage = ['Usage: slipway', name, '[OPTIONS]', ...(command.arguments ?? [])].join(' ');
  const rows = Object.entries({ ...command.options, ...global }).map(
    ([key, { short, value, description }]) =>
      [`${short ? `-${short}, ` : ''}--${key}${value ? ` ${value}` : ''}`, description] as const,
  );
  return [usage, '', command.summary, '', 'Options:', ...aligned(rows), ''].join('\n');
}

function aligned(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

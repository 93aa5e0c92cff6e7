import { expect, it } from 'vitest';
import { splitCommand } from '#cli/arguments.ts';
import { Output } from '#cli/commands/output.ts';

it.each([
  ['audit --json', 'audit', '--json'],
  ['--config a.yaml audit x', 'audit', '--config a.yaml x'],
  ['--config=a.yaml --set a=b user add', 'user', '--config=a.yaml --set a=b add'],
  ['', undefined, ''],
  ['--help', '--help', ''],
])('%s is the command %s', (line, command, rest) => {
  const words = (text: string) => text.split(' ').filter(Boolean);
  expect(splitCommand(words(line))).toEqual([command, words(rest)]);
});

it('prints tables that nothing in them can break', () => {
  let text = '';
  const write = (more: string) => {
    text += more;
  };
  const columns = [
    { title: 'NAME', value: (row: { name: string; size: number | null }) => row.name },
    { title: 'SIZE', value: (row: { name: string; size: number | null }) => row.size },
  ];
  const rows = [
    { name: 'ada\u001b[2J\n', size: 1 },
    { name: 'b', size: null },
  ];
  new Output({ json: false, write }).table(rows, columns);
  expect(text).toBe('NAME      SIZE\nada?[2J?  1\nb         -\n');
  text = '';
  new Output({ json: true, write }).table(rows, columns);
  expect(JSON.parse(text)).toEqual(rows);
});

import { vi } from 'vitest';
import type { Command, CommandGroup } from '#cli/commands/command.ts';
import { runAdminCommand } from '#cli/commands/run-command.ts';

/** What `slipway …` prints, run in this process on a data directory of a test's. */
export async function printedBy(
  commands: Readonly<Record<string, Command | CommandGroup>>,
  folder: string,
  line: string,
): Promise<string> {
  const [name = '', ...args] = line.split(' ');
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    // Not as another account: this process has more to do.
    const settings = ['--set', `dataDir=${folder}`, '--set', 'registry.user='];
    await runAdminCommand(name, commands[name]!, [...args, ...settings]);
  } finally {
    write.mockRestore();
  }
  return text;
}

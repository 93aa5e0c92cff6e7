import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { invalid } from '#errors/errors.ts';

const run = promisify(execFile);

/** What the host's `ps` prints for these arguments. Throws `invalid` with its complaint. */
export async function listProcesses(args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run('ps', [...args], {
      maxBuffer: 16 * 1024 * 1024,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    });
    return stdout;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    throw invalid(`ps: ${stderr.trim().split('\n')[0] || (error as Error).message}`, { cause: error });
  }
}

import { text } from 'node:stream/consumers';
import { invalid } from '#errors/errors.ts';
import { exitCodeOf, spawnProcess } from '../process/spawn-process.ts';

/** The few runtime commands that are not on the way to a running container. */
export class RuncCli {
  readonly #path: string;
  readonly root: string;

  constructor(path: string, root: string) {
    this.#path = path;
    this.root = root;
  }

  async start(id: string): Promise<void> {
    await this.#run(['start', id]);
  }

  /** `resources` in the OCI's words. Throws `invalid` with the runtime's. */
  async update(id: string, resources: object): Promise<void> {
    await this.#run(['update', '--resources', '-', id], JSON.stringify(resources));
  }

  /** Kills what still runs, removes cgroups and state; not finding it is no error. */
  async delete(id: string): Promise<void> {
    await this.#run(['delete', '--force', id]);
  }

  async #run(args: string[], stdin?: string): Promise<void> {
    const child = await spawnProcess(this.#path, ['--root', this.root, ...args], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', GOGC: 'off' },
      stdio: ['write', 'ignore', 'read'],
    });
    const [input, , errors] = child.stdio;
    input!.on('error', () => {
      // It ended before it read: its exit code says why.
    });
    input!.end(stdin ?? '');
    const [stderr, exit] = await Promise.all([text(errors!), child.exited]);
    const code = exitCodeOf(exit);
    if (code !== 0) throw invalid(`OCI runtime ${args[0]} failed: ${plain(stderr)}`);
  }
}

/** logrus prints `time="…" level=error msg="…"`; runc repeats the message bare on a line of its own. */
function plain(stderr: string): string {
  const lines = stderr.trim().split('\n');
  return lines.findLast((line) => !line.startsWith('time=')) ?? lines.at(-1) ?? '';
}

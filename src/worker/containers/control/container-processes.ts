import { conflict, invalid } from '#errors/errors.ts';
import type { Container } from '../container.ts';

/** Runs the host's ps with these arguments and answers what it prints. */
export type ProcessLister = (args: readonly string[]) => Promise<string>;

/** `docker top`: the host's ps, limited to a container's processes. */
export class ContainerProcesses {
  readonly #list: ProcessLister;

  constructor(ports: { listProcesses: ProcessLister }) {
    this.#list = ports.listProcesses;
  }

  /** Throws `conflict` when it does not run, `invalid` for arguments that leave no PID column. */
  async top(container: Container, args: string): Promise<{ titles: string[]; processes: string[][] }> {
    if (container.state.status === 'restarting') {
      throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
    }
    const words = (args || '-ef').trim().split(/\s+/);
    if (/(^|\s)-?[^\s-]*q/.test(args) && words.some((word) => /^-?-?(q|quick-pid)/.test(word))) {
      throw invalid('ps arguments may not select processes');
    }
    const pids = new Set((await container.runningTask.pids()).map(String));
    const [header = '', ...lines] = (await this.#list(words)).split('\n');
    const titles = header.trim().split(/\s+/);
    const column = titles.indexOf('PID');
    if (column < 0) throw invalid("Couldn't find PID field in ps output");
    const processes = lines
      .map((line) => fieldsOf(line, titles.length))
      .filter((fields) => pids.has(fields[column] ?? ''));
    return { titles, processes };
  }
}

/** The last column may have spaces. */
function fieldsOf(line: string, count: number): string[] {
  const words = line.trim().split(/\s+/);
  return words.length <= count ? words : [...words.slice(0, count - 1), words.slice(count - 1).join(' ')];
}

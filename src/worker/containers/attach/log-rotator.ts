import type { Logger } from 'pino';
import { LogRotation } from '../../logs/log-rotation.ts';
import type { Container } from '../container.ts';
import { ContainerFiles } from '../container-files.ts';
import { logLimits } from '../create/log-limits.ts';

/** Keeps the logs of running containers within what `--log-opt max-size` and `max-file` allow. */
export class LogRotator {
  readonly #rotations = new Map<string, LogRotation>();
  readonly #root: string;
  readonly #log: Logger;

  constructor(ports: { root: string; log: Logger }) {
    this.#root = ports.root;
    this.#log = ports.log;
  }

  /** It runs now. */
  begin(container: Container): void {
    this.end(container);
    const { task } = container;
    const limits = logLimits(container.record.hostConfig.LogConfig);
    if (!task || !limits) return;
    const { log: path } = new ContainerFiles(this.#root, container.id);
    const rotation = new LogRotation({ path, ...limits, reopen: () => task.reopenLog() }, this.#log);
    this.#rotations.set(container.id, rotation);
  }

  /** It does not run any more, or nobody cares. */
  end(container: Container): void {
    this.#rotations.get(container.id)?.[Symbol.dispose]();
    this.#rotations.delete(container.id);
  }
}

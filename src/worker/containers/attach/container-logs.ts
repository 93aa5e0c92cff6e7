import { invalid } from '#errors/errors.ts';
import { type LogEntry, LogFile } from '../../logs/log-file.ts';
import type { Container } from '../container.ts';
import { ContainerFiles } from '../container-files.ts';
import { logDetails } from './log-details.ts';

export interface LogsOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly timestamps: boolean;
  /** Labels and variables of the container before every line. */
  readonly details: boolean;
  readonly tail?: number;
  /** As `timeOfUnixSeconds` gives them. */
  readonly since?: string;
  readonly until?: string;
  readonly signal: AbortSignal;
}

/** `docker logs`. */
export class ContainerLogs {
  readonly #root: string;

  constructor(options: { root: string }) {
    this.#root = options.root;
  }

  /** Throws `invalid` without a stream, or when the container keeps no log. */
  read(container: Container, options: LogsOptions): AsyncIterable<Pick<LogEntry, 'stream' | 'data'>> {
    if (!options.stdout && !options.stderr) {
      throw invalid('Bad parameters: you must choose at least one stream');
    }
    if (container.record.hostConfig.LogConfig.Type === 'none') {
      throw invalid('configured logging driver does not support reading');
    }
    const { timestamps, details, ...rest } = options;
    const log = new LogFile(new ContainerFiles(this.#root, container.id).log);
    const entries = log.read({
      ...rest,
      raw: !timestamps && !details,
      // A container that does not run writes nothing more.
      follow: options.follow && container.active,
      ended: container.ended,
    });
    if (!timestamps && !details) return entries;
    const extra = details ? `${logDetails(container.record)} ` : '';
    return stamp(entries, (time) => (timestamps ? `${time} ${extra}` : extra));
  }
}

/** Puts something before every line. */
async function* stamp(
  entries: AsyncIterable<LogEntry>,
  prefix: (time: string) => string,
): AsyncGenerator<Pick<LogEntry, 'stream' | 'data'>> {
  const within = { stdout: false, stderr: false };
  for await (const { stream, time, data, partial } of entries) {
    const stamped = within[stream] ? data : Buffer.concat([Buffer.from(prefix(time)), data]);
    within[stream] = partial;
    yield { stream, data: stamped };
  }
}

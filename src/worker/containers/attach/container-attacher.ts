import { conflict } from '#errors/errors.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import { LogFile } from '../../logs/log-file.ts';
import type { Container } from '../container.ts';
import { containerEvent } from '../container-events.ts';
import { ContainerFiles } from '../container-files.ts';
import { parseDetachKeys } from './detach-keys.ts';
import { joinStdio, type StdioClient } from './stdio-session.ts';

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Also what was written before. */
  readonly logs: boolean;
  /** Go on with what is written from now on. */
  readonly stream: boolean;
  readonly detachKeys?: string;
}

/** An attachment whose place in the output is fixed: whatever is written from here on, its client sees. */
export interface Attachment {
  readonly terminal: boolean;
  run(client: StdioClient): Promise<void>;
}

/**
 * Lets clients take part in a container's stdio. Output is read from the log, so that any number of clients sees
 * all of it, each at its own pace, and a restart of the worker loses none.
 */
export class ContainerAttacher {
  readonly #events: EventPublisher;
  readonly #root: string;

  constructor(ports: { events: EventPublisher; root: string }) {
    this.#events = ports.events;
    this.#root = ports.root;
  }

  /** Throws `conflict` for a paused or restarting container, `invalid` for the detach keys. */
  async open(container: Container, options: AttachOptions): Promise<Attachment> {
    const { status } = container.state;
    if (status === 'paused') {
      throw conflict(`container ${container.id} is paused, unpause the container before attach`);
    }
    if (status === 'restarting') {
      throw conflict(`container ${container.id} is restarting, wait until the container is running`);
    }
    const { Tty, OpenStdin } = container.record.config;
    const keys = parseDetachKeys(options.detachKeys);
    const log = new LogFile(new ContainerFiles(this.#root, container.id).log);
    const { ended } = container;
    const from = options.logs ? undefined : await log.end();
    this.#events.publish(containerEvent(container, 'attach'));
    const takesStdin = options.stdin && options.stream && OpenStdin;
    return {
      terminal: Tty,
      run: async (client) => {
        const result = await joinStdio(
          {
            entries: log.read({
              from,
              raw: true,
              follow: options.stream,
              ended,
              stdout: options.stdout,
              stderr: options.stderr,
              signal: client.signal,
            }),
            stdin: async () => {
              const task = await Promise.race([container.started, ended.then(() => undefined)]);
              return task?.stdin();
            },
            detachKeys: Tty ? keys : undefined,
          },
          { ...client, input: takesStdin ? client.input : undefined },
        );
        if (result === 'detached') this.#events.publish(containerEvent(container, 'detach'));
      },
    };
  }
}

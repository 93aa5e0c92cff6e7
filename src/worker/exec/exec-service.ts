import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import { conflict, invalid, messageOf, notFound } from '#errors/errors.ts';
import { parseDetachKeys } from '../containers/attach/detach-keys.ts';
import { joinStdio, type StdioClient } from '../containers/attach/stdio-session.ts';
import type { Container } from '../containers/container.ts';
import { containerEvent } from '../containers/container-events.ts';
import { ContainerFiles } from '../containers/container-files.ts';
import type { ContainerStore } from '../containers/container-store.ts';
import { startFailure } from '../containers/start/start-error.ts';
import type { EventPublisher } from '../events/event-publisher.ts';
import { LogFile } from '../logs/log-file.ts';
import type { ExecTask } from '../runtime/runtime.ts';
import type { OciProcess, OciSpec } from '../runtime/spec/oci-spec.ts';
import type { SpecRequest } from '../runtime/spec/spec-request.ts';
import type { Exec, ExecConfig } from './exec.ts';
import { execProcess } from './exec-process.ts';

export interface ExecPorts {
  readonly store: ContainerStore;
  readonly createSpec: (request: SpecRequest) => Promise<OciSpec>;
  readonly events: EventPublisher;
  readonly log: Logger;
  readonly root: string;
}

export interface ExecStart {
  readonly detach: boolean;
  readonly consoleSize?: { readonly height: number; readonly width: number };
}

/** How many ended execs of one container can still be asked for their exit code. */
const KEPT_ENDED = 64;

/** `docker exec`. */
export class ExecService {
  readonly #ports: ExecPorts;
  readonly #execs = new Map<string, Exec>();

  constructor(ports: ExecPorts) {
    this.#ports = ports;
  }

  /** Throws `conflict` when the container does not run, `invalid` for the request. */
  create(container: Container, config: ExecConfig): Exec {
    this.#requireRunning(container);
    if (config.command.length === 0) throw invalid('No exec command specified');
    parseDetachKeys(config.detachKeys);
    const exec: Exec = {
      id: randomBytes(32).toString('hex'),
      containerId: container.id,
      config,
      state: 'created',
      exitCode: undefined,
      pid: 0,
      task: undefined,
    };
    this.#forgetOld(container);
    this.#execs.set(exec.id, exec);
    container.execs.add(exec.id);
    this.#publish(container, `exec_create: ${config.command.join(' ')}`, { execID: exec.id });
    return exec;
  }

  /** Throws `not-found`, also for an exec whose container is gone. */
  get(id: string): Exec {
    const exec = this.#execs.get(id);
    if (!exec || !this.#ports.store.has(exec.containerId)) throw notFound(`No such exec instance: ${id}`);
    return exec;
  }

  /** Whether it may be started: only once, and only while its container runs. Throws `conflict`. */
  requireStartable(exec: Exec): void {
    if (exec.state === 'ended') throw conflict(`exec command ${exec.id} has already run`);
    if (exec.state === 'running') throw conflict(`exec command ${exec.id} is already running`);
    this.#requireRunning(this.#ports.store.get(exec.containerId));
  }

  /** Starts it; with a client, stays with it until its end. Throws what Docker says when it does not start. */
  async start(exec: Exec, start: ExecStart, client?: StdioClient): Promise<void> {
    this.requireStartable(exec);
    exec.state = 'running';
    const container = this.#ports.store.get(exec.containerId);
    const { config } = exec;
    this.#publish(container, `exec_start: ${config.command.join(' ')}`, { execID: exec.id });
    const logPath = new ContainerFiles(this.#ports.root, container.id).execLog(exec.id);
    const task = await this.#launch(exec, container, start, logPath);
    const ended = this.#follow(exec, container, task, logPath);
    if (!client) return;
    const result = await joinStdio(
      {
        entries: new LogFile(logPath).read({
          raw: true,
          follow: true,
          ended,
          stdout: config.attachStdout,
          stderr: config.attachStderr,
          signal: client.signal,
        }),
        stdin: async () => task.stdin(),
        detachKeys: config.terminal ? parseDetachKeys(config.detachKeys) : undefined,
      },
      { ...client, input: config.attachStdin ? client.input : undefined },
    );
    if (result === 'detached') this.#publish(container, 'exec_detach', { execID: exec.id });
  }

  /** Throws `conflict` unless it runs. */
  async resize(exec: Exec, size: { width: number; height: number }): Promise<void> {
    if (!exec.task || exec.state !== 'running') throw conflict(`exec ${exec.id} is not running`);
    await exec.task.resize(size);
  }

  async #launch(exec: Exec, container: Container, start: ExecStart, logPath: string): Promise<ExecTask> {
    try {
      const process = await this.#process(exec, container, start);
      const task = await container.runningTask.exec({
        id: exec.id,
        process,
        terminal: exec.config.terminal,
        openStdin: exec.config.attachStdin,
        logPath,
      });
      exec.task = task;
      exec.pid = task.pid;
      return task;
    } catch (error) {
      const failure = startFailure(error);
      end(exec, container);
      // Whatever kept it from starting, a shell would say: cannot be invoked.
      exec.exitCode = failure.exitCode === 127 ? 127 : 126;
      await rm(logPath, { force: true });
      throw failure.error;
    }
  }

  #process(exec: Exec, container: Container, start: ExecStart): Promise<OciProcess> {
    const size = start.consoleSize ?? exec.config.consoleSize;
    return execProcess(container.record, exec.config, size, this.#ports);
  }

  /** Its end: the code is known before any reader of its output comes to the end of that. */
  #follow(exec: Exec, container: Container, task: ExecTask, logPath: string): Promise<void> {
    const exited = task.wait().then(({ code }) => {
      exec.exitCode = code;
      end(exec, container);
      this.#publish(container, 'exec_die', { execID: exec.id, exitCode: String(code) });
    });
    void exited
      .then(() => task.delete())
      .catch((error: unknown) => {
        end(exec, container);
        this.#ports.log.warn({ err: error, exec: exec.id, reason: messageOf(error) }, 'exec');
      })
      .then(() => rm(logPath, { force: true }));
    return exited;
  }

  #requireRunning(container: Container): void {
    const { status } = container.state;
    if (status === 'paused')
      throw conflict(`Container ${container.id} is paused, unpause the container before exec`);
    if (status === 'restarting') {
      throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
    }
    if (!container.running) throw conflict(`container ${container.id} is not running`);
  }

  /** Of this container all but the last ones, and everything of containers that are gone. */
  #forgetOld(container: Container): void {
    const { store } = this.#ports;
    const idle: Exec[] = [];
    for (const exec of this.#execs.values()) {
      if (!store.has(exec.containerId)) this.#execs.delete(exec.id);
      else if (exec.containerId === container.id && exec.state !== 'running') idle.push(exec);
    }
    for (const { id } of idle.slice(0, Math.max(0, idle.length - KEPT_ENDED))) {
      container.execs.delete(id);
      this.#execs.delete(id);
    }
  }

  #publish(container: Container, action: string, attributes: Record<string, string>): void {
    this.#ports.events.publish(containerEvent(container, action, attributes));
  }
}

/** It can still be asked for its exit code, but is no longer one of its container's. */
function end(exec: Exec, container: Container): void {
  exec.state = 'ended';
  exec.task = undefined;
  container.execs.delete(exec.id);
}

import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import { messageOf } from '#errors/errors.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import { execProcess } from '../../exec/exec-process.ts';
import { LogFile } from '../../logs/log-file.ts';
import type { OciSpec } from '../../runtime/spec/oci-spec.ts';
import type { SpecRequest } from '../../runtime/spec/spec-request.ts';
import type { Container, Health, HealthResult } from '../container.ts';
import { containerEvent } from '../container-events.ts';
import { ContainerFiles } from '../container-files.ts';
import type { ContainerStore } from '../container-store.ts';
import { within } from '../stop/within.ts';
import { timestamp } from '../timestamp.ts';
import type { HealthMonitor } from './health-monitor.ts';

const DEFAULT_INTERVAL = 30_000;
const DEFAULT_TIMEOUT = 30_000;
const DEFAULT_START_INTERVAL = 5_000;
const DEFAULT_RETRIES = 3;
const KEPT_RESULTS = 5;
const MAX_OUTPUT = 4096;
const SIGKILL = 9;

export interface HealthPorts {
  readonly store: ContainerStore;
  readonly createSpec: (request: SpecRequest) => Promise<OciSpec>;
  readonly events: EventPublisher;
  readonly log: Logger;
  readonly root: string;
}

/** Runs a container's HEALTHCHECK in it, again and again. */
export class ExecHealthMonitor implements HealthMonitor {
  readonly #ports: HealthPorts;
  readonly #probes = new Map<string, { timer: NodeJS.Timeout | undefined; begun: number }>();

  constructor(ports: HealthPorts) {
    this.#ports = ports;
  }

  begin(container: Container): void {
    this.end(container);
    if (!commandOf(container)) return;
    const probe = { timer: undefined, begun: Date.now() };
    this.#probes.set(container.id, probe);
    this.#schedule(container, probe);
  }

  end(container: Container): void {
    clearTimeout(this.#probes.get(container.id)?.timer);
    this.#probes.delete(container.id);
  }

  #schedule(container: Container, probe: { timer: NodeJS.Timeout | undefined; begun: number }): void {
    const check = container.record.config.Healthcheck!;
    const starting =
      container.state.health?.status === 'starting' && this.#inStartPeriod(container, probe.begun);
    const delay = starting
      ? milliseconds(check.StartInterval, DEFAULT_START_INTERVAL)
      : milliseconds(check.Interval, DEFAULT_INTERVAL);
    probe.timer = setTimeout(async () => {
      if (container.state.status !== 'paused') await this.#probe(container, probe.begun);
      if (this.#probes.get(container.id) === probe) this.#schedule(container, probe);
    }, delay);
  }

  async #probe(container: Container, begun: number): Promise<void> {
    const start = timestamp();
    try {
      const { exitCode, output } = await this.#run(container);
      if (!this.#probes.has(container.id)) return;
      await this.#record(container, { start, end: timestamp(), exitCode, output }, begun);
    } catch (error) {
      if (!this.#probes.has(container.id)) return;
      const result = { start, end: timestamp(), exitCode: -1, output: messageOf(error) };
      await this.#record(container, result, begun);
    }
  }

  async #run(container: Container): Promise<{ exitCode: number; output: string }> {
    const { root } = this.#ports;
    const check = container.record.config.Healthcheck!;
    const id = randomBytes(32).toString('hex');
    const logPath = new ContainerFiles(root, container.id).execLog(id);
    const process = await execProcess(
      container.record,
      probeConfig(commandOf(container)!),
      undefined,
      this.#ports,
    );
    const task = await container.runningTask.exec({
      id,
      process,
      terminal: false,
      openStdin: false,
      logPath,
    });
    const timeout = milliseconds(check.Timeout, DEFAULT_TIMEOUT);
    const exited = task.wait();
    try {
      if (!(await within(exited, timeout / 1000))) {
        globalThis.process.kill(task.pid, SIGKILL);
        await exited;
        return { exitCode: -1, output: `Health check exceeded timeout (${timeout / 1000}s)` };
      }
      return { exitCode: (await exited).code, output: await outputOf(logPath) };
    } finally {
      await task.delete().catch(() => undefined);
      await rm(logPath, { force: true });
    }
  }

  async #record(container: Container, result: HealthResult, begun: number): Promise<void> {
    const { store, events } = this.#ports;
    const before = container.state.health ?? { status: 'starting', failingStreak: 0, log: [] };
    const retries = container.record.config.Healthcheck?.Retries || DEFAULT_RETRIES;
    const failed = result.exitCode !== 0;
    // Failures while it starts do not count.
    const counts = failed && !(before.status === 'starting' && this.#inStartPeriod(container, begun));
    const failingStreak = failed ? before.failingStreak + (counts ? 1 : 0) : 0;
    const status: Health['status'] = !failed
      ? 'healthy'
      : failingStreak >= retries
        ? 'unhealthy'
        : before.status;
    const health = { status, failingStreak, log: [...before.log, result].slice(-KEPT_RESULTS) };
    await store.update(container, { state: { ...container.state, health } });
    if (status !== before.status) events.publish(containerEvent(container, `health_status: ${status}`));
  }

  #inStartPeriod(container: Container, begun: number): boolean {
    return Date.now() - begun < milliseconds(container.record.config.Healthcheck?.StartPeriod, 0);
  }
}

function commandOf({ record }: Container): string[] | undefined {
  const [kind, ...rest] = record.config.Healthcheck?.Test ?? [];
  if (kind === 'CMD') return rest;
  if (kind === 'CMD-SHELL') return [...(record.config.Shell ?? ['/bin/sh', '-c']), rest.join(' ')];
  return undefined;
}

function probeConfig(command: string[]) {
  return {
    attachStdin: false,
    attachStdout: true,
    attachStderr: true,
    terminal: false,
    detachKeys: '',
    env: [],
    command,
    privileged: false,
    user: '',
    workingDir: '',
  };
}

async function outputOf(logPath: string): Promise<string> {
  let output = '';
  for await (const { data } of new LogFile(logPath).read({ raw: true })) {
    output += Buffer.from(data).toString('utf8');
    if (output.length > MAX_OUTPUT) return `${output.slice(0, MAX_OUTPUT)}...`;
  }
  return output;
}

function milliseconds(nanoseconds: number | undefined, fallback: number): number {
  return nanoseconds ? nanoseconds / 1e6 : fallback;
}

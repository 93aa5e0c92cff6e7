import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { conflict, invalid } from '#errors/errors.ts';
import type { Cgroup } from '../cgroup/cgroup.ts';
import type { ExecRequest, ExecTask, ExitStatus, Task } from '../runtime.ts';
import type { OciSpec } from '../spec/oci-spec.ts';
import type { Bundle, TaskRecord } from './bundle.ts';
import { launchExec, UNKNOWN_EXIT } from './conmon-exec.ts';
import { reopenLog, resizeTerminal } from './control.ts';
import { openExecFifo } from './exec-fifo.ts';
import type { ExitRecords } from './exit-records.ts';
import type { MonitorTools } from './launch-monitor.ts';
import { type ProcessIdentity, signalProcess } from './process-identity.ts';
import type { RuncCli } from './runc-cli.ts';
import { assertStdin, openStdin } from './stdin.ts';

const SIGKILL = 9;

/** What a task works with; made by `ConmonRuntime`. */
export interface TaskParts {
  readonly record: TaskRecord;
  readonly bundle: Bundle;
  /** Its first process; undefined when that has ended already. */
  readonly init: ProcessIdentity | undefined;
  readonly pid: number;
  readonly monitor: ProcessIdentity | undefined;
  readonly cgroup: Cgroup;
  readonly exits: ExitRecords;
  readonly runc: RuncCli;
  readonly tools: MonitorTools & { readonly socat: string };
  readonly destroy: () => Promise<void>;
}

export class ConmonTask implements Task {
  readonly id: string;
  readonly pid: number;
  readonly #parts: TaskParts;
  #exit: Promise<ExitStatus> | undefined;

  constructor(parts: TaskParts) {
    this.id = parts.record.id;
    this.pid = parts.pid;
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { init, runc } = this.#parts;
    const fifo = join(runc.root, this.id, 'exec.fifo');
    const outcome = init ? await openExecFifo(fifo, init) : 'dead';
    if (outcome === 'no-fifo') await runc.start(this.id);
    if (outcome === 'dead') {
      throw invalid('failed to start task for container: the process ended before it was started: unknown');
    }
  }

  wait(): Promise<ExitStatus> {
    this.#exit ??= this.#awaitExit();
    return this.#exit;
  }

  async kill(signal: number): Promise<void> {
    const { init, cgroup } = this.#parts;
    if (!init || !signalProcess(init, signal)) throw conflict(`container ${this.id} is not running`);
    // A frozen process takes no signal; for this one nobody wants to wait.
    if (signal === SIGKILL) await cgroup.thaw().catch(() => undefined);
  }

  pause(): Promise<void> {
    return this.#parts.cgroup.freeze();
  }

  resume(): Promise<void> {
    return this.#parts.cgroup.thaw();
  }

  async update(resources: NonNullable<OciSpec['linux']>['resources']): Promise<void> {
    await this.#parts.runc.update(this.id, resources ?? {});
  }

  pids(): Promise<number[]> {
    return this.#parts.cgroup.pids();
  }

  resize(size: { width: number; height: number }): Promise<void> {
    return resizeTerminal(this.#parts.bundle, size);
  }

  reopenLog(): Promise<void> {
    return reopenLog(this.#parts.bundle);
  }

  async stdin(): Promise<Writable> {
    assertStdin(this.#parts.record.openStdin);
    return openStdin(this.#parts.tools.socat, this.#parts.bundle);
  }

  async exec(request: ExecRequest): Promise<ExecTask> {
    const { bundle, tools } = this.#parts;
    await mkdir(bundle.file('exec'), { recursive: true });
    return launchExec(tools, bundle.exec(request.id), this.id, request);
  }

  delete(): Promise<void> {
    return this.#parts.destroy();
  }

  async #awaitExit(): Promise<ExitStatus> {
    const { exits, monitor, cgroup } = this.#parts;
    const exit = await exits.wait(this.id, monitor);
    // Without its monitor a container has no output and no exit code any more: it is ended.
    if (!exit) await cgroup.kill();
    const oomKilled = await this.#wasOomKilled();
    return { code: exit?.code ?? UNKNOWN_EXIT, at: exit?.at ?? new Date(), oomKilled };
  }

  async #wasOomKilled(): Promise<boolean> {
    const { bundle, cgroup } = this.#parts;
    const noted = access(bundle.file('oom')).then(
      () => true,
      () => false,
    );
    const [note, kills] = await Promise.all([noted, cgroup.oomKills()]);
    return note || kills > 0;
  }
}

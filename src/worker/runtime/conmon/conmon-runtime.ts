import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { canceled, invalid } from '#errors/errors.ts';
import { Cgroup } from '../cgroup/cgroup.ts';
import type { Runtime, Task, TaskRequest } from '../runtime.ts';
import { encodeSpec } from '../spec/encode-spec.ts';
import { Bundle, type TaskRecord } from './bundle.ts';
import { ConmonTask } from './conmon-task.ts';
import { ExitRecords } from './exit-records.ts';
import { launchMonitor, type MonitorTools } from './launch-monitor.ts';
import { identify, isAlive, type ProcessIdentity, signalProcess } from './process-identity.ts';
import { RuncCli } from './runc-cli.ts';
import { runtimeError } from './runtime-error.ts';

export interface ConmonRuntimeOptions {
  /** `/run/slipway/tasks`: short, on a file system that a reboot empties, for this runtime alone. */
  readonly stateDir: string;
  readonly runc: string;
  readonly conmon: string;
  readonly socat: string;
  /** Of containers whose configuration names no cgroup. */
  readonly cgroupParent?: string;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const MONITOR_END_TIMEOUT = 5_000;

/**
 * Runs containers with runc, each under a conmon of its own. Nothing that a container needs lives in this
 * process: kill it, and `load` of the next one goes on where it was.
 * ```
 * <stateDir>/bundles/<id>/   see Bundle
 * <stateDir>/exits/<id>      the exit code, in decimal
 * <stateDir>/runc/<id>/      runc's state
 * ```
 */
export class ConmonRuntime implements Runtime, Disposable {
  readonly #bundles: string;
  readonly #cgroupParent: string;
  readonly #exits: ExitRecords;
  readonly #runc: RuncCli;
  readonly #tools: MonitorTools & { readonly socat: string };
  #prepared: Promise<unknown> | undefined;

  constructor({ stateDir, runc, conmon, socat, cgroupParent = '/slipway' }: ConmonRuntimeOptions) {
    this.#bundles = join(stateDir, 'bundles');
    this.#cgroupParent = cgroupParent;
    this.#exits = new ExitRecords(join(stateDir, 'exits'));
    this.#runc = new RuncCli(runc, join(stateDir, 'runc'));
    this.#tools = { conmon, runc, socat, runcRoot: this.#runc.root, tmpDir: stateDir };
  }

  async create(request: TaskRequest, { signal }: { signal?: AbortSignal } = {}): Promise<Task> {
    await this.#prepare();
    const { id, terminal, openStdin, stdinOnce, logPath } = request;
    const bundle = this.#bundle(id);
    const cgroupPath = request.spec.linux.cgroupsPath ?? `${this.#cgroupParent}/${id}`;
    // Everything in it is killed in the end: it must be this container's alone.
    if (!cgroupPath.endsWith(`/${id}`))
      throw invalid(`the cgroup ${cgroupPath} is not named after container ${id}`);
    const record: TaskRecord = { id, terminal, openStdin, stdinOnce, logPath, cgroupPath };
    await bundle.create({
      'task.json': JSON.stringify(record),
      'config.json': configuration(request, cgroupPath),
    });
    try {
      const pid = await this.#launch(record, bundle);
      if (signal?.aborted) throw canceled();
      return this.#task(record, bundle, pid, identify(pid), await this.#monitor(bundle));
    } catch (error) {
      await this.destroy(id);
      throw error;
    }
  }

  async load(id: string): Promise<Task | undefined> {
    await this.#prepare();
    const bundle = this.#bundle(id);
    const [record, pid, startTime] = await Promise.all([
      bundle.read('task.json'),
      bundle.readPid('pid'),
      this.#recordedStartTime(id),
    ]);
    // Without a process id the worker was killed while it created this: there is nothing to go on with.
    if (!record || !pid) return undefined;
    const init = identify(pid);
    const same = init && init.startTime === startTime ? init : undefined;
    return this.#task(JSON.parse(record), bundle, pid, same, await this.#monitor(bundle));
  }

  async list(): Promise<string[]> {
    await this.#prepare();
    const found = await Promise.all([this.#bundles, this.#runc.root].map((path) => readdir(path)));
    return [...new Set(found.flat())];
  }

  async destroy(id: string): Promise<void> {
    await this.#prepare();
    const bundle = this.#bundle(id);
    const record = await bundle.read('task.json');
    const cgroupPath: string = record ? JSON.parse(record).cgroupPath : `${this.#cgroupParent}/${id}`;
    const cgroup = new Cgroup(cgroupPath);
    await cgroup.kill();
    await this.#endMonitor(bundle);
    // What the runtime's own delete would do, at the price of a process; it is asked where something resists.
    if (await cgroup.remove()) await rm(join(this.#runc.root, id), { recursive: true, force: true });
    else await this.#runc.delete(id);
    await this.#exits.remove(id);
    // Last, for it is what `list` goes by.
    await bundle.remove();
  }

  /** Lets go of what this process watches; the containers stay. */
  [Symbol.dispose](): void {
    this.#exits[Symbol.dispose]();
  }

  #prepare(): Promise<unknown> {
    const directories = [this.#bundles, this.#exits.directory, this.#runc.root];
    this.#prepared ??= Promise.all(directories.map((path) => mkdir(path, { recursive: true, mode: 0o700 })));
    return this.#prepared;
  }

  #bundle(id: string): Bundle {
    if (!ID.test(id)) throw invalid(`invalid container id: ${id}`);
    return new Bundle(join(this.#bundles, id));
  }

  async #launch(record: TaskRecord, bundle: Bundle): Promise<number> {
    const pipe = await launchMonitor(this.#tools, {
      containerId: record.id,
      name: record.id,
      bundle,
      logPath: record.logPath,
      terminal: record.terminal,
      openStdin: record.openStdin,
      leaveStdinOpen: record.openStdin && !record.stdinOnce,
      mode: { exitDir: this.#exits.directory },
    });
    const message = await pipe.next();
    pipe.close();
    if (!message || message.data <= 0) throw await runtimeError('create', bundle, message?.message ?? '');
    return message.data;
  }

  #task(
    record: TaskRecord,
    bundle: Bundle,
    pid: number,
    init: ProcessIdentity | undefined,
    monitor: ProcessIdentity | undefined,
  ): Task {
    return new ConmonTask({
      record,
      bundle,
      pid,
      init,
      monitor,
      cgroup: new Cgroup(record.cgroupPath),
      exits: this.#exits,
      runc: this.#runc,
      tools: this.#tools,
      destroy: () => this.destroy(record.id),
    });
  }

  async #monitor(bundle: Bundle): Promise<ProcessIdentity | undefined> {
    const pid = await bundle.readPid('conmon.pid');
    if (pid === undefined) return undefined;
    // After a reboot its number may be anybody's: only a process that names this bundle is this monitor.
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return commandLine.includes(`${bundle.path}\0`) ? identify(pid) : undefined;
  }

  /** The runtime's own note of when the container's first process began. */
  async #recordedStartTime(id: string): Promise<number | undefined> {
    const state = await readFile(join(this.#runc.root, id, 'state.json'), 'utf8').catch(() => undefined);
    return state === undefined ? undefined : Number(JSON.parse(state).init_process_start);
  }

  /** The monitor ends by itself after its container; its last act is to write the exit record. */
  async #endMonitor(bundle: Bundle): Promise<void> {
    const monitor = await this.#monitor(bundle);
    if (!monitor) return;
    const deadline = Date.now() + MONITOR_END_TIMEOUT;
    while (isAlive(monitor) && Date.now() < deadline) await delay(2);
    signalProcess(monitor, 'SIGKILL');
  }
}

function configuration({ spec, terminal }: TaskRequest, cgroupsPath: string): string {
  return encodeSpec({
    ...spec,
    process: { ...spec.process, terminal },
    linux: { ...spec.linux, cgroupsPath },
  });
}

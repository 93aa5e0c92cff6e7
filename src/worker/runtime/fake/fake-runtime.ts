import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { PassThrough, type Writable } from 'node:stream';
import { conflict, invalid } from '#errors/errors.ts';
import type { ExecRequest, ExecTask, ExitStatus, Runtime, Task, TaskRequest } from '../runtime.ts';

/** What a fake container's process does in place of a binary. */
export type FakeProgram = (process: FakeProcess) => Promise<number> | number;

export interface FakeProcess {
  readonly args: readonly string[];
  readonly stdin: PassThrough;
  write(stream: 'stdout' | 'stderr', text: string): void;
  /** Aborted when a signal ends the process. */
  readonly signal: AbortSignal;
}

/** The machine under fake runtimes: its tasks outlive each of them, as those of a real one do. */
export class FakeMachine {
  readonly tasks = new Map<string, FakeTask>();
  readonly programs = new Map<string, FakeProgram>(Object.entries(PROGRAMS));
}

const PROGRAMS: Record<string, FakeProgram> = {
  true: () => 0,
  false: () => 1,
  echo: ({ args, write }) => {
    write('stdout', `${args.slice(1).join(' ')}\n`);
    return 0;
  },
  cat: async ({ stdin, write }) => {
    for await (const chunk of stdin) write('stdout', String(chunk));
    return 0;
  },
  sleep: ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(0))),
};

/** Containers without a kernel, for the tests of what stands on a `Runtime`. */
export class FakeRuntime implements Runtime {
  readonly #machine: FakeMachine;

  constructor(machine: FakeMachine = new FakeMachine()) {
    this.#machine = machine;
  }

  async create(request: TaskRequest): Promise<Task> {
    const { id, spec, logPath } = request;
    if (this.#machine.tasks.has(id)) throw conflict(`there is a task ${id} already`);
    const program = findProgram(
      this.#machine,
      spec.process.args,
      (message) => `OCI runtime create failed: ${message}`,
    );
    const process = new FakeRunningProcess(program, spec.process.args, logPath);
    const task = new FakeTask(this.#machine, request, process);
    this.#machine.tasks.set(id, task);
    return task;
  }

  async load(id: string): Promise<Task | undefined> {
    return this.#machine.tasks.get(id);
  }

  async list(): Promise<string[]> {
    return [...this.#machine.tasks.keys()];
  }

  async destroy(id: string): Promise<void> {
    await this.#machine.tasks.get(id)?.delete();
  }
}

class FakeTask implements Task {
  readonly id: string;
  readonly pid: number;
  readonly #machine: FakeMachine;
  readonly #request: TaskRequest;
  readonly #process: FakeRunningProcess;
  readonly #execs = new Set<FakeRunningProcess>();

  constructor(machine: FakeMachine, request: TaskRequest, process: FakeRunningProcess) {
    this.id = request.id;
    this.pid = process.pid;
    this.#machine = machine;
    this.#request = request;
    this.#process = process;
  }

  async start(): Promise<void> {
    if (this.#process.ended) throw invalid('the process ended before it was started');
    if (!this.#request.openStdin) this.#process.stdin.end();
    this.#process.run();
    this.#process.exit.then(() => this.#killExecs());
  }

  wait(): Promise<ExitStatus> {
    return this.#process.exit;
  }

  async kill(signal: number): Promise<void> {
    if (this.#process.ended) throw conflict(`container ${this.id} is not running`);
    this.#process.kill(signal);
  }

  async pause(): Promise<void> {
    if (this.#process.ended) throw conflict('the container is not running');
  }

  async resume(): Promise<void> {
    if (this.#process.ended) throw conflict('the container is not running');
  }

  async update(): Promise<void> {}

  async pids(): Promise<number[]> {
    return [this.#process, ...this.#execs].filter((process) => !process.ended).map((process) => process.pid);
  }

  async resize(): Promise<void> {}

  async reopenLog(): Promise<void> {
    if (this.#process.ended) throw conflict('the container is not running');
    rmSync(this.#request.logPath, { force: true });
    writeFileSync(this.#request.logPath, '');
  }

  async stdin(): Promise<Writable> {
    if (!this.#request.openStdin) throw conflict('the process was started without a stdin');
    return this.#process.writer(this.#request.stdinOnce);
  }

  async exec(request: ExecRequest): Promise<ExecTask> {
    const { args } = request.process;
    const program = findProgram(
      this.#machine,
      args,
      (message) => `OCI runtime exec failed: exec failed: ${message}`,
    );
    const process = new FakeRunningProcess(program, args, request.logPath);
    if (!request.openStdin) process.stdin.end();
    this.#execs.add(process);
    process.run();
    return {
      id: request.id,
      pid: process.pid,
      wait: () => process.exit,
      resize: async () => {},
      stdin: async () => {
        if (!request.openStdin) throw conflict('the process was started without a stdin');
        return process.writer(true);
      },
      delete: async () => void this.#execs.delete(process),
    };
  }

  async delete(): Promise<void> {
    this.#process.kill(9);
    this.#killExecs();
    this.#machine.tasks.delete(this.id);
  }

  #killExecs(): void {
    for (const process of this.#execs) process.kill(9);
  }
}

let lastPid = 2 ** 22;

class FakeRunningProcess {
  readonly pid = ++lastPid;
  readonly stdin = new PassThrough();
  readonly #exit = Promise.withResolvers<ExitStatus>();
  readonly #program: FakeProgram;
  readonly #args: readonly string[];
  readonly #logPath: string;
  readonly #aborter = new AbortController();
  ended = false;

  constructor(program: FakeProgram, args: readonly string[], logPath: string) {
    this.#program = program;
    this.#args = args;
    this.#logPath = logPath;
  }

  get exit(): Promise<ExitStatus> {
    return this.#exit.promise;
  }

  run(): void {
    const write = (stream: 'stdout' | 'stderr', text: string) => this.#log(stream, text);
    const process = { args: this.#args, stdin: this.stdin, write, signal: this.#aborter.signal };
    Promise.resolve(this.#program(process)).then(
      (code) => this.#end(code),
      () => this.#end(1),
    );
  }

  kill(signal: number): void {
    this.#end(128 + signal);
    this.#aborter.abort();
  }

  writer(once: boolean): Writable {
    const writer = new PassThrough();
    writer.pipe(this.stdin, { end: once });
    return writer;
  }

  #end(code: number): void {
    if (this.ended) return;
    this.ended = true;
    this.#exit.resolve({ code, at: new Date(), oomKilled: false });
  }

  #log(stream: string, text: string): void {
    const time = new Date().toISOString().replace('Z', '000000+00:00');
    const lines = text.split('\n');
    const rest = lines.pop();
    for (const line of lines) appendFileSync(this.#logPath, `${time} ${stream} F ${line}\n`);
    if (rest) appendFileSync(this.#logPath, `${time} ${stream} P ${rest}\n`);
  }
}

function findProgram(
  machine: FakeMachine,
  args: readonly string[],
  wrap: (message: string) => string,
): FakeProgram {
  const name = args[0] ?? '';
  const program = machine.programs.get(name);
  if (program) return program;
  const message = `unable to start container process: exec: "${name}": executable file not found in $PATH`;
  throw invalid(wrap(`${message}: unknown`));
}

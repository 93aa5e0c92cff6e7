import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { roleEnvironment, roleFlags } from '#config/role-environment.ts';
import type { RoleMessage, RoleName } from './role.ts';

const entry = fileURLToPath(new URL('../main.mjs', import.meta.url));

/** A process that served this long had a good start: the next back-off begins anew. */
const goodStart = 30_000;
const firstBackOff = 250;
const longestBackOff = 10_000;

export interface SupervisedRoleOptions {
  readonly name: RoleName;
  /** What it is called in notes, where there are several of a role. */
  readonly title?: string;
  /** More of its environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Calls what starts it, in the namespace that it is to be in; it is not in this process's then. */
  readonly startWith?: <T>(begin: () => T) => T;
  /** Command line options to pass on. */
  readonly flags: readonly string[];
  /** Every line that the process writes. */
  readonly onLine: (line: string) => void;
  /** What the supervisor has to say about it. */
  readonly onNote: (note: string) => void;
  /** How long `stop` waits before it kills. */
  readonly stopTimeout: number;
}

/** A role's process, started anew with a growing pause whenever it ends by itself after its first good start. */
export class SupervisedRole {
  readonly name: RoleName;
  /** The addresses it serves, once it does for the first time. Rejects when it ends before that. */
  readonly ready: Promise<readonly string[]>;
  readonly #options: SupervisedRoleOptions;
  readonly #first = Promise.withResolvers<readonly string[]>();
  readonly #exits = new Set<Promise<void>>();
  #process: ChildProcess | undefined;
  #served = false;
  #stopping = false;
  #backOff = firstBackOff;
  #retry: NodeJS.Timeout | undefined;
  #failure: string | undefined;

  constructor(options: SupervisedRoleOptions) {
    this.name = options.name;
    this.#options = options;
    this.ready = this.#first.promise;
    this.ready.catch(() => {});
  }

  get title(): string {
    return this.#options.title ?? this.name;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  start(): void {
    const startedAt = performance.now();
    this.#failure = undefined;
    // A process group of its own: Ctrl-C in a terminal reaches the supervisor alone, which stops roles in order.
    const begin = () =>
      fork(entry, [this.name, ...this.#options.flags], {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        detached: true,
        env: { ...roleEnvironment(this.name), ...this.#options.env },
        execArgv: [...process.execArgv, ...roleFlags(this.name)],
      });
    const { startWith = (start) => start() } = this.#options;
    const child = startWith(begin);
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) this.#forwardLines(stream!);
    child.on('message', (message) => this.#onMessage(message as RoleMessage));
    child.on('error', (error) => this.#onExit(error.message, startedAt));
    const exited = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        closeSoon(child);
        this.#onExit(signal ? `killed by ${signal}` : `exit code ${code}`, startedAt);
        resolve();
      });
    });
    this.#exits.add(exited);
    void exited.then(() => this.#exits.delete(exited));
  }

  /** Asks it to end, kills it when it does not in time, and resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#retry);
    this.#process?.kill('SIGTERM');
    const killer = setTimeout(() => this.kill(), this.#options.stopTimeout);
    await Promise.all(this.#exits);
    clearTimeout(killer);
  }

  kill(): void {
    this.#process?.kill('SIGKILL');
  }

  /** Asks it to read its files again; one that does not serve yet has not read them. */
  reload(): void {
    if (this.#served) this.#process?.kill('SIGHUP');
  }

  #onMessage(message: RoleMessage): void {
    if (message.type === 'failed') {
      this.#failure = message.message;
      return;
    }
    if (this.#served) this.#options.onNote('serves again');
    this.#served = true;
    this.#first.resolve(message.addresses);
  }

  #onExit(how: string, startedAt: number): void {
    this.#process = undefined;
    const reason = this.#failure ?? how;
    if (!this.#served)
      this.#first.reject(new Error(`the ${this.#options.title ?? this.name} did not start: ${reason}`));
    if (this.#stopping || !this.#served) return;
    if (performance.now() - startedAt > goodStart) this.#backOff = firstBackOff;
    this.#options.onNote(`ended (${reason}), starting it again in ${this.#backOff} ms`);
    this.#retry = setTimeout(() => this.start(), this.#backOff);
    this.#backOff = Math.min(this.#backOff * 2, longestBackOff);
  }

  #forwardLines(stream: Readable): void {
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', this.#options.onLine);
  }
}

/** What a role started and left behind may still hold its output open; the supervisor does not wait for that. */
function closeSoon(child: ChildProcess): void {
  setTimeout(() => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, 200).unref();
}

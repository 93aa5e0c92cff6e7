import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ProcessOptions } from './registry-process.ts';

const SCRIPT = fileURLToPath(new URL('./registry-process.ts', import.meta.url));

/** Registry processes over one database and one content store, which are killed and come back. */
export class Registries implements AsyncDisposable {
  readonly #options: readonly ProcessOptions[];
  readonly #processes: (ChildProcess | undefined)[];
  /** What they had to say that was not expected. */
  readonly complaints: string[] = [];
  kills = 0;

  static async start(options: readonly ProcessOptions[]): Promise<Registries> {
    const registries = new Registries(options);
    for (const index of options.keys()) await registries.#begin(index);
    return registries;
  }

  private constructor(options: readonly ProcessOptions[]) {
    this.#options = options;
    this.#processes = options.map(() => undefined);
  }

  /** One of them, whether it is up or not. */
  address(): string {
    const { port } = this.#options[Math.floor(Math.random() * this.#options.length)]!;
    return `127.0.0.1:${port}`;
  }

  /** kill -9 of any one, and a new one in its place. */
  async kill(): Promise<void> {
    const index = Math.floor(Math.random() * this.#options.length);
    await this.#end(index, 'SIGKILL');
    this.kills++;
    await this.#begin(index);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#options.map((_, index) => this.#end(index, 'SIGKILL')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #begin(index: number): Promise<void> {
    const child = spawn(process.execPath, [SCRIPT, JSON.stringify(this.#options[index])], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#processes[index] = child;
    child.stderr!.on('data', (text) => {
      if (this.complaints.length < 1000) this.complaints.push(String(text).trim());
    });
    await Promise.race([
      once(child.stdout!, 'data'),
      once(child, 'exit').then(() => {
        throw new Error(`the registry did not start: ${this.complaints.at(-1)}`);
      }),
    ]);
  }

  async #end(index: number, signal: NodeJS.Signals): Promise<void> {
    const child = this.#processes[index];
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}

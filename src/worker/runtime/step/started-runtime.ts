import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { exitCodeOf, type SpawnedProcess, spawnProcess } from '../process/spawn-process.ts';
import { encodeSpec } from '../spec/encode-spec.ts';
import type { OciSpec } from '../spec/oci-spec.ts';

export interface RuntimeStart {
  readonly runc: string;
  /** Of the runtime's own state. */
  readonly root: string;
  readonly id: string;
  /** Made here, and removed again. */
  readonly bundle: string;
  /** Its control group stays when the command has ended. */
  readonly keep: boolean;
}

/** The descriptor that the runtime reads its configuration from. */
const SPEC_FD = 3;

/**
 * `runc run` in the foreground, which waits to hear what it is to run: its `config.json` is a pipe of ours. Should
 * this process end before, the pipe does too, and with it the runtime.
 */
export class StartedRuntime implements AsyncDisposable {
  readonly id: string;
  readonly bundle: string;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exitCode: Promise<number>;
  readonly #spec: Writable;
  ended = false;

  private constructor({ id, bundle }: RuntimeStart, child: SpawnedProcess) {
    this.id = id;
    this.bundle = bundle;
    this.stdout = child.stdio[1]!;
    this.stderr = child.stdio[2]!;
    this.#spec = child.stdio[SPEC_FD]!;
    this.#spec.on('error', () => {
      // It ended before it read: its log says why.
    });
    this.exitCode = child.exited.then((exit) => {
      this.ended = true;
      return exitCodeOf(exit);
    });
  }

  static async begin(start: RuntimeStart): Promise<StartedRuntime> {
    const { runc, root, id, bundle, keep } = start;
    // Small files in memory: each call takes less time than a thread does to hear of it.
    mkdirSync(bundle, { recursive: true, mode: 0o700 });
    try {
      symlinkSync(`/proc/self/fd/${SPEC_FD}`, join(bundle, 'config.json'));
      const globals = ['--root', root, '--log', join(bundle, 'oci.log'), '--log-format', 'json'];
      const own = ['--bundle', bundle, '--pid-file', join(bundle, 'pid'), ...(keep ? ['--keep'] : []), id];
      const child = await spawnProcess(runc, [...globals, 'run', ...own], {
        // The runtime lives for milliseconds: collecting its garbage would take longer than it saves.
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', GOGC: 'off' },
        stdio: ['ignore', 'read', 'read', 'write'],
      });
      return new StartedRuntime(start, child);
    } catch (error) {
      rmSync(bundle, { recursive: true, force: true });
      throw error;
    }
  }

  /** Once. */
  run(spec: OciSpec): void {
    this.#spec.end(encodeSpec(spec));
  }

  /** The command's first process; undefined while, or if, it has not been started. */
  get pid(): number | undefined {
    try {
      const pid = Number.parseInt(readFileSync(join(this.bundle, 'pid'), 'utf8'), 10);
      return pid > 0 ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  /** Resolves when it has ended: at once if it runs nothing yet. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#spec.destroy();
    this.stdout.destroy();
    this.stderr.destroy();
    await this.exitCode;
    rmSync(this.bundle, { recursive: true, force: true });
  }
}

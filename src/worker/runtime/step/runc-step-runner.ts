import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { invalid, systemCode } from '#errors/errors.ts';
import { Cgroup } from '../cgroup/cgroup.ts';
import { RuncCli } from '../conmon/runc-cli.ts';
import { lastError } from '../conmon/runtime-error.ts';
import { exitCodeOf, type SpawnedProcess, spawnProcess } from '../process/spawn-process.ts';
import { encodeSpec } from '../spec/encode-spec.ts';
import type { StepExit, StepRequest, StepRunner } from './step-runner.ts';

const PID_POLL_MS = 5;

type StepOutput = (bytes: Uint8Array) => Promise<void>;

/**
 * `runc run` in the foreground with pipes for output: one process a step instead of the four that a monitored
 * container takes. Its state directory holds
 * ```
 * runc/             the runtime's own state
 * <id>/config.json  bundle
 * <id>/pid          written once the command runs
 * <id>/oci.log      the runtime's errors
 * ```
 */
export class RuncStepRunner implements StepRunner {
  readonly #stateDir: string;
  readonly #runc: string;
  readonly #cli: RuncCli;

  constructor(options: { stateDir: string; runc: string }) {
    this.#stateDir = options.stateDir;
    this.#runc = options.runc;
    this.#cli = new RuncCli(options.runc, join(options.stateDir, 'runc'));
  }

  async run(request: StepRequest, { signal }: { signal?: AbortSignal } = {}): Promise<StepExit> {
    signal?.throwIfAborted();
    const bundle = join(this.#stateDir, request.id);
    // Small files in memory: each call takes less time than a thread does to hear of it.
    mkdirSync(bundle, { recursive: true, mode: 0o700 });
    try {
      writeFileSync(join(bundle, 'config.json'), encodeSpec(request.spec), { mode: 0o600 });
      // Only what is limited can be killed for it; its control group then stays until it was asked.
      const limited = (request.spec.linux.resources?.memory?.limit ?? 0) > 0;
      const child = await this.#spawn(request.id, bundle, { keep: limited });
      const code = await this.#attend(child, bundle, request, signal);
      const outOfMemory = limited && (await this.#forget(request));
      signal?.throwIfAborted();
      if ((await readPid(bundle)) === undefined) throw await startFailure(bundle);
      return { code, outOfMemory };
    } finally {
      rmSync(bundle, { recursive: true, force: true });
    }
  }

  async reconcile(): Promise<void> {
    for (const id of await namesIn(join(this.#stateDir, 'runc'))) await this.#cli.delete(id);
    await rm(this.#stateDir, { recursive: true, force: true });
  }

  /** Removes a step that the runtime has kept; answers whether something in it was killed for want of memory. */
  async #forget({ id, spec }: StepRequest): Promise<boolean> {
    const kills = await new Cgroup(spec.linux.cgroupsPath ?? '/').oomKills();
    await this.#cli.delete(id);
    return kills > 0;
  }

  async #spawn(id: string, bundle: string, { keep }: { keep: boolean }): Promise<Child> {
    const globals = ['--root', this.#cli.root, '--log', join(bundle, 'oci.log'), '--log-format', 'json'];
    const own = ['--bundle', bundle, '--pid-file', join(bundle, 'pid'), ...(keep ? ['--keep'] : []), id];
    const child = await spawnProcess(this.#runc, [...globals, 'run', ...own], {
      // The runtime lives for milliseconds: collecting its garbage would take longer than it saves.
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', GOGC: 'off' },
      stdio: ['ignore', 'read', 'read'],
    });
    return new Child(child);
  }

  /** The runtime complains on the same stderr, but only before the command runs: that is in its log anyway. */
  #commandsOwn(child: Child, bundle: string, request: StepRequest): StepOutput {
    let started = false;
    return async (bytes) => {
      started ||= await hasStarted(child, bundle);
      if (started) await request.output('stderr', bytes);
    };
  }

  /** Passes output on until the command has ended; resolves with its exit code. */
  async #attend(
    child: Child,
    bundle: string,
    request: StepRequest,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const kill = () => void killStep(child, bundle);
    if (signal?.aborted) kill();
    signal?.addEventListener('abort', kill, { once: true });
    try {
      await Promise.all([
        forward(child.stdout, (bytes) => request.output('stdout', bytes), signal),
        forward(child.stderr, this.#commandsOwn(child, bundle, request), signal),
      ]);
      return await child.exitCode;
    } catch (error) {
      kill();
      await child.exitCode;
      throw error;
    } finally {
      signal?.removeEventListener('abort', kill);
      // Killed or not, its cgroup and state have to be gone when the caller goes on.
      if (signal?.aborted) await this.#cli.delete(request.id);
    }
  }
}

/** The runtime while it runs in the foreground. */
class Child {
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exitCode: Promise<number>;
  ended = false;

  constructor(child: SpawnedProcess) {
    this.stdout = child.stdio[1]!;
    this.stderr = child.stdio[2]!;
    this.exitCode = child.exited.then((exit) => {
      this.ended = true;
      return exitCodeOf(exit);
    });
  }
}

/** Resolves with whether the command has been started; false when the runtime has ended without. */
async function hasStarted(child: Child, bundle: string): Promise<boolean> {
  for (;;) {
    const { ended } = child;
    if ((await readPid(bundle)) !== undefined) return true;
    if (ended) return false;
    await sleep(PID_POLL_MS);
  }
}

async function forward(source: Readable, take: StepOutput, signal: AbortSignal | undefined): Promise<void> {
  for await (const bytes of source as AsyncIterable<Buffer>) {
    // After an abort the pipe is only drained: nobody wants to hear the rest.
    if (!signal?.aborted) await take(bytes);
  }
}

/**
 * Kills the first process of the step, and by that all of them; the runtime then sees it end and cleans up. Killing
 * the runtime instead would leave the step running.
 */
async function killStep(child: Child, bundle: string): Promise<void> {
  if (!(await hasStarted(child, bundle))) return;
  const pid = await readPid(bundle);
  try {
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}

async function startFailure(bundle: string) {
  const log = await readFile(join(bundle, 'oci.log'), 'utf8').catch(() => '');
  const message = lastError(log)?.replace(/^runc run failed: /, '') ?? 'the runtime ended without a word';
  return invalid(
    `failed to create task for container: failed to create shim task: OCI runtime create failed: ${message}: unknown`,
  );
}

async function readPid(bundle: string): Promise<number | undefined> {
  const text = await readFile(join(bundle, 'pid'), 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  return pid > 0 ? pid : undefined;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Spare } from '#async/spare.ts';
import { invalid, systemCode } from '#errors/errors.ts';
import { Cgroup } from '../cgroup/cgroup.ts';
import { RuncCli } from '../conmon/runc-cli.ts';
import { lastError } from '../conmon/runtime-error.ts';
import { StartedRuntime } from './started-runtime.ts';
import type { StepExit, StepRequest, StepRunner } from './step-runner.ts';

const PID_POLL_MS = 5;
/** Longer than it takes from one step to the next. */
const AHEAD_MS = 1000;

type StepOutput = (bytes: Uint8Array) => Promise<void>;

/**
 * `runc run` in the foreground with pipes for output: one process a step instead of the four that a monitored
 * container takes. The state directory holds
 * ```
 * runc/             the runtime's own state
 * <id>/config.json  bundle: the specification, by a pipe
 * <id>/pid          written once the command runs
 * <id>/oci.log      the runtime's errors
 * ```
 */
export class RuncStepRunner implements StepRunner {
  readonly #stateDir: string;
  readonly #runc: string;
  readonly #cli: RuncCli;
  readonly #ahead = new Spare(() => this.#start({ keep: false }), { idleMs: AHEAD_MS });

  constructor(options: { stateDir: string; runc: string }) {
    this.#stateDir = options.stateDir;
    this.#runc = options.runc;
    this.#cli = new RuncCli(options.runc, join(options.stateDir, 'runc'));
  }

  async run(request: StepRequest, { signal }: { signal?: AbortSignal } = {}): Promise<StepExit> {
    signal?.throwIfAborted();
    // Only what is limited can be killed for it; its control group then stays until it was asked.
    const limited = (request.spec.linux.resources?.memory?.limit ?? 0) > 0;
    await using runtime = limited ? await this.#start({ keep: true }) : await this.#ready();
    signal?.throwIfAborted();
    runtime.run(request.spec);
    const code = await this.#attend(runtime, request, signal);
    const outOfMemory = limited && (await this.#forget(runtime, request));
    signal?.throwIfAborted();
    if (runtime.pid === undefined) throw await startFailure(runtime);
    return { code, outOfMemory };
  }

  prepare(): void {
    this.#ahead.prepare();
  }

  async stop(): Promise<void> {
    await this.#ahead[Symbol.asyncDispose]();
  }

  async reconcile(): Promise<void> {
    for (const id of await namesIn(join(this.#stateDir, 'runc'))) await this.#cli.delete(id);
    await rm(this.#stateDir, { recursive: true, force: true });
  }

  async #ready(): Promise<StartedRuntime> {
    const ahead = await this.#ahead.take();
    if (ahead && !ahead.ended) return ahead;
    await ahead?.[Symbol.asyncDispose]();
    return await this.#start({ keep: false });
  }

  #start({ keep }: { keep: boolean }): Promise<StartedRuntime> {
    const id = randomBytes(16).toString('hex');
    const { root } = this.#cli;
    return StartedRuntime.begin({ runc: this.#runc, root, id, bundle: join(this.#stateDir, id), keep });
  }

  /** Removes a step that the runtime has kept; answers whether something in it was killed for want of memory. */
  async #forget({ id }: StartedRuntime, { spec }: StepRequest): Promise<boolean> {
    const kills = await new Cgroup(spec.linux.cgroupsPath ?? '/').oomKills();
    await this.#cli.delete(id);
    return kills > 0;
  }

  /** The runtime complains on the same stderr, but only before the command runs: that is in its log anyway. */
  #commandsOwn(runtime: StartedRuntime, request: StepRequest): StepOutput {
    let started = false;
    return async (bytes) => {
      started ||= await hasStarted(runtime);
      if (started) await request.output('stderr', bytes);
    };
  }

  /** Passes output on until the command has ended; resolves with its exit code. */
  async #attend(
    runtime: StartedRuntime,
    request: StepRequest,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const kill = () => void killStep(runtime);
    if (signal?.aborted) kill();
    signal?.addEventListener('abort', kill, { once: true });
    try {
      await Promise.all([
        forward(runtime.stdout, (bytes) => request.output('stdout', bytes), signal),
        forward(runtime.stderr, this.#commandsOwn(runtime, request), signal),
      ]);
      return await runtime.exitCode;
    } catch (error) {
      kill();
      await runtime.exitCode;
      throw error;
    } finally {
      signal?.removeEventListener('abort', kill);
      // Killed or not, its cgroup and state have to be gone when the caller goes on.
      if (signal?.aborted) await this.#cli.delete(runtime.id);
    }
  }
}

/** Resolves with whether the command has been started; false when the runtime has ended without. */
async function hasStarted(runtime: StartedRuntime): Promise<boolean> {
  for (;;) {
    const { ended } = runtime;
    if (runtime.pid !== undefined) return true;
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
async function killStep(runtime: StartedRuntime): Promise<void> {
  if (!(await hasStarted(runtime))) return;
  const { pid } = runtime;
  try {
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}

async function startFailure({ bundle }: StartedRuntime) {
  const log = await readFile(join(bundle, 'oci.log'), 'utf8').catch(() => '');
  const message = lastError(log)?.replace(/^runc run failed: /, '') ?? 'the runtime ended without a word';
  return invalid(
    `failed to create task for container: failed to create shim task: OCI runtime create failed: ${message}: unknown`,
  );
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

import type { Writable } from 'node:stream';
import type { ExecRequest, ExecTask, ExitStatus } from '../runtime.ts';
import { encodeSpec } from '../spec/encode-spec.ts';
import type { Bundle } from './bundle.ts';
import { resizeTerminal } from './control.ts';
import { launchMonitor, type MonitorTools, type SyncPipe } from './launch-monitor.ts';
import { runtimeError } from './runtime-error.ts';
import { assertStdin, openStdin } from './stdin.ts';

/** What a process gets whose monitor was killed: nobody knows better. */
export const UNKNOWN_EXIT = 137;

/** Runs one more process in a container, with a monitor of its own. */
export async function launchExec(
  tools: MonitorTools & { readonly socat: string },
  bundle: Bundle,
  containerId: string,
  request: ExecRequest,
): Promise<ExecTask> {
  const process = { ...request.process, terminal: request.terminal };
  await bundle.create({ 'process.json': encodeSpec(process) });
  try {
    const pipe = await launchMonitor(tools, {
      containerId,
      name: request.id,
      bundle,
      logPath: request.logPath,
      terminal: request.terminal,
      openStdin: request.openStdin,
      leaveStdinOpen: false,
      mode: { processSpec: bundle.file('process.json') },
    });
    const first = await pipe.next();
    if (first && first.data > 0) return new ConmonExec(tools.socat, bundle, request, first.data, pipe);
    pipe.close();
    throw await runtimeError('exec', bundle, first?.message ?? '');
  } catch (error) {
    await bundle.remove();
    throw error;
  }
}

class ConmonExec implements ExecTask {
  readonly id: string;
  readonly pid: number;
  readonly #socat: string;
  readonly #bundle: Bundle;
  readonly #openStdin: boolean;
  readonly #exit: Promise<ExitStatus>;

  constructor(socat: string, bundle: Bundle, request: ExecRequest, pid: number, pipe: SyncPipe) {
    this.id = request.id;
    this.pid = pid;
    this.#socat = socat;
    this.#bundle = bundle;
    this.#openStdin = request.openStdin;
    this.#exit = exitFrom(pipe);
  }

  wait(): Promise<ExitStatus> {
    return this.#exit;
  }

  resize(size: { width: number; height: number }): Promise<void> {
    return resizeTerminal(this.#bundle, size);
  }

  async stdin(): Promise<Writable> {
    assertStdin(this.#openStdin);
    return openStdin(this.#socat, this.#bundle);
  }

  delete(): Promise<void> {
    return this.#bundle.remove();
  }
}

/** The monitor says the code when it has written all output, and closes the pipe when it is gone. */
async function exitFrom(pipe: SyncPipe): Promise<ExitStatus> {
  const last = await pipe.next();
  pipe.close();
  const code = last && last.data >= 0 ? last.data : UNKNOWN_EXIT;
  return { code, at: new Date(), oomKilled: false };
}

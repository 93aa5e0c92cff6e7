import { open } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { spawnProcess } from '../process/spawn-process.ts';
import type { Bundle } from './bundle.ts';

export interface MonitorTools {
  readonly conmon: string;
  readonly runc: string;
  /** The runtime's own state, apart from other users of the same binary. */
  readonly runcRoot: string;
  /** Where conmon makes its short-lived console socket; its path must be short. */
  readonly tmpDir: string;
}

export interface MonitorOptions {
  /** Of the container, also for an exec. */
  readonly containerId: string;
  readonly name: string;
  readonly bundle: Bundle;
  readonly logPath: string;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  readonly leaveStdinOpen: boolean;
  /** `create` leaves the exit code in this directory, `exec` says it on the sync pipe. */
  readonly mode: { readonly exitDir: string } | { readonly processSpec: string };
}

/**
 * Starts conmon, which daemonizes and runs the OCI runtime. Resolves with the pipe on which it reports.
 * conmon and all below it get no descriptor of ours but that pipe: no listening socket, no terminal.
 */
export async function launchMonitor(tools: MonitorTools, options: MonitorOptions): Promise<SyncPipe> {
  await using errors = await open(options.bundle.file('conmon.log'), 'a', 0o600);
  const child = await spawnProcess(tools.conmon, monitorArguments(tools, options), {
    cwd: options.bundle.path,
    // Go's collector has nothing to collect in a runtime that lives for 20 ms.
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      TMPDIR: tools.tmpDir,
      TZ: 'UTC',
      GOGC: 'off',
      _OCI_SYNCPIPE: '3',
    },
    stdio: ['ignore', 'ignore', errors.fd, 'read'],
  });
  const pipe = new SyncPipe(child.stdio[3]!);
  // The first process ends when it has forked the monitor and written conmon.pid.
  await child.exited;
  return pipe;
}

function monitorArguments(tools: MonitorTools, options: MonitorOptions): string[] {
  const { bundle, containerId, name, logPath, mode } = options;
  return [
    ...['--api-version', '1', '--cid', containerId, '--cuuid', name, '--name', name],
    ...['--runtime', tools.runc, '--bundle', bundle.path, '--full-attach'],
    ...['--container-pidfile', bundle.file('pid'), '--conmon-pidfile', bundle.file('conmon.pid')],
    // Without an fsync of the log at the end: its bytes outlive any process, which is all that is promised.
    ...['--log-path', `k8s-file:${logPath}`, '--no-sync-log', '--log-level', 'error'],
    ...(options.terminal ? ['--terminal'] : []),
    ...(options.openStdin ? ['--stdin'] : []),
    ...(options.leaveStdinOpen ? ['--leave-stdin-open'] : []),
    ...('exitDir' in mode
      ? ['--exit-dir', mode.exitDir]
      : ['--exec', '--exec-process-spec', mode.processSpec]),
    ...['--root', tools.runcRoot, '--log', bundle.file('oci.log'), '--log-format', 'json'].flatMap(
      (argument) => ['--runtime-arg', argument],
    ),
  ];
}

/** What conmon says, one line of JSON each: the process id, then for an exec its exit code. */
export class SyncPipe {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<SyncMessage>;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = messages(socket);
  }

  /** Undefined when conmon has gone. */
  async next(): Promise<SyncMessage | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : value;
  }

  close(): void {
    this.#socket.destroy();
  }
}

export interface SyncMessage {
  /** Negative: failed. */
  readonly data: number;
  readonly message?: string;
}

async function* messages(socket: Socket): AsyncGenerator<SyncMessage> {
  let text = '';
  socket.setEncoding('utf8');
  try {
    for await (const chunk of socket) {
      text += chunk;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        yield JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
      }
    }
  } catch {
    // Reset, because conmon was killed: the end of what it says all the same.
  }
}

import type { Writable } from 'node:stream';
import { conflict } from '#errors/errors.ts';
import { spawnProcess } from '../process/spawn-process.ts';
import type { Bundle } from './bundle.ts';

/** `SOCK_SEQPACKET`, which Node's sockets do not know. */
const SEQPACKET = 5;

/**
 * A writer to a monitored process's stdin, through the monitor's attach socket. The monitor also sends all output
 * there, which must be read and dropped, or the monitor would block on it: output comes from the log.
 */
export async function openStdin(socat: string, bundle: Bundle): Promise<Writable> {
  const child = await spawnProcess(socat, ['-t', '1', 'STDIO', `UNIX-CONNECT:attach,type=${SEQPACKET}`], {
    // A relative name, for the path of a socket has at most 107 bytes.
    cwd: bundle.path,
    env: {},
    stdio: ['write', 'ignore', 'ignore'],
  });
  const stdin = child.stdio[0]!;
  void child.exited.then(() => stdin.destroy());
  // Nobody reads any more: the writer sees it by the stream's end, and it is no reason for a crash.
  stdin.on('error', () => undefined);
  return stdin;
}

export function assertStdin(openStdin: boolean): void {
  if (!openStdin) throw conflict('the process was started without a stdin');
}

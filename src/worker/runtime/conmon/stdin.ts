import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { conflict } from '#errors/errors.ts';
import type { Bundle } from './bundle.ts';

/** `SOCK_SEQPACKET`, which Node's sockets do not know. */
const SEQPACKET = 5;

/**
 * A writer to a monitored process's stdin, through the monitor's attach socket. The monitor also sends all output
 * there, which must be read and dropped, or the monitor would block on it: output comes from the log.
 */
export function openStdin(socat: string, bundle: Bundle): Writable {
  const child = spawn(socat, ['-t', '1', 'STDIO', `UNIX-CONNECT:attach,type=${SEQPACKET}`], {
    // A relative name, for the path of a socket has at most 107 bytes.
    cwd: bundle.path,
    env: {},
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const { stdin } = child;
  child.on('error', (error) => stdin.destroy(error));
  child.on('exit', () => stdin.destroy());
  // Nobody reads any more: the writer sees it by the stream's end, and it is no reason for a crash.
  stdin.on('error', () => undefined);
  return stdin;
}

export function assertStdin(openStdin: boolean): void {
  if (!openStdin) throw conflict('the process was started without a stdin');
}

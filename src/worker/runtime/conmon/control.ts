import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { conflict } from '#errors/errors.ts';
import type { Bundle } from './bundle.ts';

/** What conmon does on a line of its control fifo (conmon, src/ctrl.c). */
const RESIZE = 1;
const REOPEN_LOGS = 2;

/** Sets the size of a monitored process's terminal. Throws `conflict` when its monitor has gone. */
export async function resizeTerminal(bundle: Bundle, size: { width: number; height: number }): Promise<void> {
  try {
    await send(bundle, [RESIZE, size.height, size.width]);
  } catch (error) {
    throw conflict('cannot resize a process that is not running', { cause: error });
  }
}

/** Makes the monitor go on in a new file. Throws `conflict` when it has gone. */
export async function reopenLog(bundle: Bundle): Promise<void> {
  try {
    await send(bundle, [REOPEN_LOGS, 0, 0]);
  } catch (error) {
    throw conflict('cannot reopen the log of a process that is not running', { cause: error });
  }
}

async function send(bundle: Bundle, message: [type: number, height: number, width: number]): Promise<void> {
  // Non-blocking, so that it fails instead of waiting for a monitor that is not there.
  await using control = await open(bundle.file('ctl'), constants.O_WRONLY | constants.O_NONBLOCK);
  await control.write(`${message.join(' ')}\n`);
}

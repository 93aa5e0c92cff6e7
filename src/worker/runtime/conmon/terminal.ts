import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { conflict } from '#errors/errors.ts';
import type { Bundle } from './bundle.ts';

const RESIZE = 1;

/** Sets the size of a monitored process's terminal. Throws `conflict` when its monitor has gone. */
export async function resizeTerminal(bundle: Bundle, size: { width: number; height: number }): Promise<void> {
  try {
    // Non-blocking, so that it fails instead of waiting for a monitor that is not there.
    await using control = await open(bundle.file('ctl'), constants.O_WRONLY | constants.O_NONBLOCK);
    await control.write(`${RESIZE} ${size.height} ${size.width}\n`);
  } catch (error) {
    throw conflict('cannot resize a process that is not running', { cause: error });
  }
}

import { constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { systemCode } from '#errors/errors.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

/**
 * Starts a created container as `runc start` would, without running it: the container's first process waits in
 * an open(2) for a reader of its `exec.fifo`, writes one byte and executes what it is to be. Taking the fifo away
 * then is what turns the runtime's idea of its state from created to running.
 *
 * Answers `no-fifo` when this runtime has none, `dead` when the process ended before it could be started.
 */
export async function openExecFifo(
  path: string,
  init: ProcessIdentity,
): Promise<'started' | 'no-fifo' | 'dead'> {
  try {
    // Non-blocking: a blocking open would wait for ever, on one of few threads, if the process were gone.
    await using fifo = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    for (let attempt = 0; ; attempt++) {
      const alive = isAlive(init);
      if ((await read(fifo)) > 0) break;
      // Looked at before the read: a short-lived program may have been started, and ended, since.
      if (!alive) return 'dead';
      // It answers within a fraction of a millisecond; later it is the machine that is overloaded.
      if (attempt > 10) await delay(1);
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'no-fifo';
    throw error;
  }
  await rm(path, { force: true });
  return 'started';
}

async function read(fifo: Awaited<ReturnType<typeof open>>): Promise<number> {
  try {
    return (await fifo.read(Buffer.alloc(16))).bytesRead;
  } catch (error) {
    if (systemCode(error) === 'EAGAIN') return 0;
    throw error;
  }
}

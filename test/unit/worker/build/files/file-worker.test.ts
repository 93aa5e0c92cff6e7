import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { FileWorker } from '#worker/build/files/file-worker.ts';

it('ends at any moment of its beginning, and nothing else does', async () => {
  // Where native code is stopped as it is loaded, this whole process is over.
  for (let delay = 0; delay < 200; delay += 10) {
    const worker = new FileWorker();
    await sleep(delay);
    await worker.terminate();
    expect(worker.alive).toBe(false);
  }
});

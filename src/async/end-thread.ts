import type { Worker } from 'node:worker_threads';

const loaded = new WeakMap<Worker, Promise<void>>();

/** Of a thread that says something as soon as it has loaded what it needs: `endThread` waits for that. */
export function noticeLoaded(worker: Worker): void {
  const first = new Promise<void>((resolve) => {
    worker.once('message', () => resolve());
    worker.once('exit', () => resolve());
  });
  loaded.set(worker, first);
}

/** Ends a thread in the middle of whatever it does, but loading: native code that is stopped there ends the whole process. */
export async function endThread(worker: Worker): Promise<void> {
  worker.ref();
  await loaded.get(worker);
  await worker.terminate();
}

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Semaphore } from '#async/semaphore.ts';
import { canceled } from '#errors/errors.ts';
import type { FileOperation, FileRequest, FileResult } from './file-messages.ts';
import { FileWorkers } from './file-worker.ts';
import { endHelp } from './shared-writing.ts';

/** Threads for the files of all builds: each does one thing at a time, what comes beyond them waits. */
export class FilePool implements AsyncDisposable {
  readonly #workers: FileWorkers;
  readonly #turns: Semaphore;
  readonly #threads: number;
  #running = 0;

  constructor(options: { threads: number }) {
    this.#threads = options.threads;
    this.#workers = new FileWorkers({ maxIdle: options.threads });
    this.#turns = new Semaphore(options.threads);
  }

  /** Throws as the operation does; `canceled`, with its thread ended in the middle of it, when `signal` aborts. */
  run<O extends FileOperation>(
    operation: O,
    request: FileRequest<O>,
    { signal }: { signal: AbortSignal },
    ports: readonly MessagePort[] = [],
  ): Promise<FileResult<O>> {
    return this.#turns.run(async () => {
      if (signal.aborted) throw canceled();
      this.#running++;
      const worker = this.#workers.acquire();
      const end = () => void worker.terminate();
      signal.addEventListener('abort', end, { once: true });
      try {
        return await worker.call(operation, request, ports);
      } finally {
        this.#running--;
        signal.removeEventListener('abort', end);
        await this.#workers.release(worker, !signal.aborted);
      }
    });
  }

  /** As the operation of that name; a second thread helps, if one is ready that has nothing to do. */
  async copyAsLayer(
    request: FileRequest<'copyAsLayer'>,
    options: { signal: AbortSignal },
  ): Promise<FileResult<'copyAsLayer'>> {
    if (this.#running + 2 > this.#threads || this.#workers.idle < 2)
      return this.run('copyAsLayer', request, options);
    const { port1, port2 } = new MessageChannel();
    const done = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const helping = this.run('writeShared', { port: port2, done }, options, [port2]);
    helping.catch(() => endHelp(done));
    try {
      return await this.run('copyAsLayer', { ...request, help: { port: port1, done } }, options, [port1]);
    } finally {
      // Where it went over, the thread has closed it.
      port1.close();
      await helping.catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#workers.stop();
  }
}

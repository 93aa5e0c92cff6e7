import { Semaphore } from '#async/semaphore.ts';
import { canceled } from '#errors/errors.ts';
import type { FileOperation, FileRequest, FileResult } from './file-messages.ts';
import { FileWorkers } from './file-worker.ts';

/** Threads for the files of all builds: each does one thing at a time, what comes beyond them waits. */
export class FilePool implements AsyncDisposable {
  readonly #workers: FileWorkers;
  readonly #turns: Semaphore;

  constructor(options: { threads: number }) {
    this.#workers = new FileWorkers({ maxIdle: options.threads });
    this.#turns = new Semaphore(options.threads);
  }

  /** Throws as the operation does; `canceled`, with its thread ended in the middle of it, when `signal` aborts. */
  run<O extends FileOperation>(
    operation: O,
    request: FileRequest<O>,
    { signal }: { signal: AbortSignal },
  ): Promise<FileResult<O>> {
    return this.#turns.run(async () => {
      if (signal.aborted) throw canceled();
      const worker = this.#workers.acquire();
      const end = () => void worker.terminate();
      signal.addEventListener('abort', end, { once: true });
      try {
        return await worker.call(operation, request);
      } finally {
        signal.removeEventListener('abort', end);
        await this.#workers.release(worker, !signal.aborted);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#workers.stop();
  }
}

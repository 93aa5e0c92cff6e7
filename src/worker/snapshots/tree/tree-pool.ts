import { Worker } from 'node:worker_threads';
import { endThread, noticeLoaded } from '#async/end-thread.ts';
import { canceled, SlipwayError, unavailable } from '#errors/errors.ts';
import type { TarOptions } from '../diff.ts';
import {
  type FromThread,
  type ThreadError,
  type TreeResults,
  type TreeTask,
  WINDOW_BYTES,
} from './messages.ts';

interface Job {
  readonly onChunk: ((chunk: Uint8Array<ArrayBuffer>) => void) | undefined;
  readonly onTaken: (bytes: number) => void;
  readonly settle: (error: Error | undefined, result?: unknown) => void;
}

/** One thread, started when it is first needed, started again after it died. */
class TreeThread {
  #worker: Worker | undefined;
  readonly #jobs = new Map<number, Job>();
  #nextId = 1;

  get load(): number {
    return this.#jobs.size;
  }

  begin(task: TreeTask, job: Job): { id: number; worker: Worker } {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#nextId++;
    // An idle thread does not keep the process alive, a working one does.
    if (this.#jobs.size === 0) worker.ref();
    this.#jobs.set(id, job);
    worker.postMessage({ id, task });
    return { id, worker };
  }

  async stop(): Promise<void> {
    if (this.#worker) await endThread(this.#worker);
  }

  #start(): Worker {
    const worker = new Worker(new URL('./tree-thread.ts', import.meta.url), { name: 'slipway-trees' });
    noticeLoaded(worker);
    worker.on('message', (message: FromThread) => this.#receive(worker, message));
    worker.on('error', (error) =>
      this.#fail(worker, unavailable(`a file tree thread failed: ${error}`, { cause: error })),
    );
    worker.on('exit', () => this.#fail(worker, canceled('the file tree thread was stopped')));
    worker.unref();
    return worker;
  }

  #receive(worker: Worker, message: FromThread): void {
    const job = this.#jobs.get(message.id);
    if (!job) return;
    if ('chunk' in message) job.onChunk?.(message.chunk);
    else if ('taken' in message) job.onTaken(message.taken);
    else {
      this.#jobs.delete(message.id);
      if (this.#jobs.size === 0) worker.unref();
      if ('error' in message) job.settle(revive(message.error));
      else job.settle(undefined, message.result);
    }
  }

  #fail(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const jobs = [...this.#jobs.values()];
    this.#jobs.clear();
    for (const job of jobs) job.settle(error);
  }
}

/**
 * Threads that do what takes many synchronous file system calls. Tasks go to the thread with the fewest; removing
 * has a thread of its own, because nothing can run beside it.
 */
export class TreePool implements AsyncDisposable {
  readonly #threads: TreeThread[];
  readonly #remover = new TreeThread();

  constructor(options: { threads?: number } = {}) {
    this.#threads = Array.from({ length: options.threads ?? 2 }, () => new TreeThread());
  }

  /** Runs a task that yields no output; `input` is what `unpack` reads. */
  async run<Op extends TreeTask['op']>(
    task: Extract<TreeTask, { op: Op }>,
    options: { input?: AsyncIterable<Uint8Array>; signal?: AbortSignal } = {},
  ): Promise<TreeResults[Op]> {
    if (options.signal?.aborted) throw canceled();
    const window = new Window();
    const { promise, resolve, reject } = Promise.withResolvers<TreeResults[Op]>();
    const { id, worker } = this.#pick(task).begin(task, {
      onChunk: undefined,
      onTaken: (bytes) => window.release(bytes),
      settle: (error, result) => {
        window.close();
        if (error) reject(error);
        else resolve(result as TreeResults[Op]);
      },
    });
    const abort = () => worker.postMessage({ id, abort: true });
    options.signal?.addEventListener('abort', abort, { once: true });
    // A task may end before its input does; the failure of either is the other's end.
    const fed = options.input ? feed(worker, id, options.input, window) : undefined;
    let inputError: unknown;
    fed?.catch((error) => {
      inputError = error ?? new Error('input failed');
      abort();
    });
    try {
      const result = await promise;
      await fed;
      return result;
    } catch (error) {
      throw inputError ?? error;
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }

  /** Runs `pack` and yields what it writes. Stopping early stops the task. `lent`: see `TarOptions`. */
  async *stream(
    task: Extract<TreeTask, { op: 'pack' }>,
    { lent = false }: TarOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let settled: { error: Error | undefined } | undefined;
    let wake = () => {};
    const { id, worker } = this.#pick(task).begin(task, {
      onChunk: (chunk) => {
        chunks.push(chunk);
        wake();
      },
      onTaken: () => {},
      settle: (error) => {
        settled = { error };
        wake();
      },
    });
    try {
      for (;;) {
        const chunk = chunks.shift();
        if (chunk) {
          const taken = chunk.length;
          yield chunk;
          // What it fills again need not be made and collected: V8 looks at all of its heap after some 30 MB of that.
          const memory = lent ? chunk.buffer : undefined;
          worker.postMessage({ id, taken, ...(memory && { memory }) }, memory ? [memory] : []);
        } else if (settled) {
          if (settled.error) throw settled.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      if (!settled) worker.postMessage({ id, abort: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#threads, this.#remover].map((thread) => thread.stop()));
  }

  #pick(task: TreeTask): TreeThread {
    if (task.op === 'remove') return this.#remover;
    return this.#threads.reduce((best, thread) => (thread.load < best.load ? thread : best));
  }
}

/** Counts the bytes that are on their way to a thread, and lets its feeder wait for room. */
class Window {
  #outstanding = 0;
  #closed = false;
  #wake = () => {};

  get closed(): boolean {
    return this.#closed;
  }

  async reserve(bytes: number): Promise<void> {
    this.#outstanding += bytes;
    while (this.#outstanding > WINDOW_BYTES && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  release(bytes: number): void {
    this.#outstanding -= bytes;
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }
}

/** Clients send the archive of a thousand small files in thousands of pieces. */
const MIN_MESSAGE_BYTES = 64 * 1024;

async function feed(
  worker: Worker,
  id: number,
  input: AsyncIterable<Uint8Array>,
  window: Window,
): Promise<void> {
  let gathered: Uint8Array[] = [];
  let size = 0;
  const send = async () => {
    // Copied, because a chunk is often a piece of a larger buffer that is not ours to give away.
    const chunk = new Uint8Array(size);
    let at = 0;
    for (const bytes of gathered) {
      chunk.set(bytes, at);
      at += bytes.length;
    }
    gathered = [];
    size = 0;
    worker.postMessage({ id, chunk }, [chunk.buffer]);
    // Not the copy's length: what was given away has none.
    await window.reserve(at);
  };
  for await (const bytes of input) {
    if (window.closed) return;
    gathered.push(bytes);
    size += bytes.length;
    if (size >= MIN_MESSAGE_BYTES) await send();
  }
  if (window.closed) return;
  if (size > 0) await send();
  worker.postMessage({ id, end: true });
}

function revive(error: ThreadError): Error {
  const options = error.code === undefined ? {} : { code: error.code };
  if (error.kind) return new SlipwayError(error.kind, error.message, options);
  return Object.assign(new Error(error.message), { ...options, stack: error.stack });
}

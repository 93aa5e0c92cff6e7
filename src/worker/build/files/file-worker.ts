import { type MessagePort, Worker } from 'node:worker_threads';
import { endThread, noticeLoaded } from '#async/end-thread.ts';
import { canceled, SlipwayError, unavailable } from '#errors/errors.ts';
import type {
  FileOperation,
  FileRequest,
  FileResult,
  FromFileThread,
  ToFileThread,
} from './file-messages.ts';

/** A thread for the files of builds: everything that is copied into layers. */
export class FileWorker {
  readonly #worker: Worker;
  readonly #calls = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  #nextId = 1;
  #failure: Error | undefined;

  constructor() {
    this.#worker = new Worker(new URL('./file-thread.ts', import.meta.url), { name: 'slipway-build-files' });
    noticeLoaded(this.#worker);
    this.#worker.on('message', (message: FromFileThread) => this.#receive(message));
    this.#worker.on('error', (error) => this.#fail(unavailable(`the build's file thread failed: ${error}`)));
    this.#worker.on('exit', () => this.#fail(canceled('the build was canceled')));
    this.#worker.unref();
  }

  get alive(): boolean {
    return this.#failure === undefined;
  }

  /** `ports`: what of the request goes over to the thread. */
  call<O extends FileOperation>(
    operation: O,
    request: FileRequest<O>,
    ports: readonly MessagePort[] = [],
  ): Promise<FileResult<O>> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.#calls.size === 0) this.#worker.ref();
    this.#calls.set(id, { resolve, reject });
    this.#worker.postMessage({ id, operation, request } satisfies ToFileThread, [...ports]);
    return promise as Promise<FileResult<O>>;
  }

  /** Ends it in the middle of whatever it does. */
  async terminate(): Promise<void> {
    await endThread(this.#worker);
  }

  #receive({ id, result, error }: FromFileThread): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (this.#calls.size === 0) this.#worker.unref();
    if (!error) call?.resolve(result);
    else if (error.kind) {
      call?.reject(
        new SlipwayError(error.kind, error.message, error.code === undefined ? {} : { code: error.code }),
      );
    } else call?.reject(Object.assign(new Error(error.message), { stack: error.stack }));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const call of this.#calls.values()) call.reject(this.#failure);
    this.#calls.clear();
  }
}

/** Keeps a few threads that finished builds leave, for the next ones: starting one takes tens of milliseconds. */
export class FileWorkers {
  readonly #maxIdle: number;
  readonly #idle: FileWorker[] = [];

  constructor(options: { maxIdle?: number } = {}) {
    this.#maxIdle = options.maxIdle ?? 2;
  }

  /** How many are ready. */
  get idle(): number {
    return this.#idle.filter((worker) => worker.alive).length;
  }

  acquire(): FileWorker {
    for (let worker = this.#idle.pop(); worker; worker = this.#idle.pop()) if (worker.alive) return worker;
    return new FileWorker();
  }

  /** `reusable`: it is idle; otherwise it is ended. */
  async release(worker: FileWorker, reusable: boolean): Promise<void> {
    if (!reusable || !worker.alive || this.#idle.length >= this.#maxIdle) {
      await worker.terminate();
      return;
    }
    this.#idle.push(worker);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((worker) => worker.terminate()));
  }
}

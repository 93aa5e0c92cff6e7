import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { systemCode, unavailable } from '#errors/errors.ts';
import { type NewFile, writeNewFile } from './new-file.ts';

/** Between a thread that copies and one that writes some of its files. */
export interface WritingHelp {
  readonly port: MessagePort;
  /** How many batches are written, `HELP_ENDED` and more when no more will be; in memory that both threads see. */
  readonly done: Int32Array<SharedArrayBuffer>;
}

interface Batch {
  readonly files: readonly (NewFile & { readonly size: number })[];
  /** Their contents, one behind the other. */
  readonly data: Uint8Array<ArrayBuffer>;
}

interface Failure {
  readonly message: string;
  readonly code: string | undefined;
}

const BATCH_BYTES = 64 * 1024;
const BATCH_FILES = 16;
/** So many batches wait at most: what is more the copying thread writes itself meanwhile. */
const AHEAD = 2;
/** More than all batches of a copy. */
const HELP_ENDED = 2 ** 30;
/** With so few files nobody needs help. */
const ALONE = 48;

/** Hands some of the files that a thread makes to another one, as long as that has little to do. */
export class SharedWriting {
  readonly #help: WritingHelp | undefined;
  #files: (NewFile & { size: number })[] = [];
  #data = new Uint8Array(BATCH_BYTES);
  #filled = 0;
  #met = 0;
  #posted = 0;

  constructor(help: WritingHelp | undefined) {
    this.#help = help;
  }

  /** Whether a file of this size may be handed over now. */
  takes(size: number): boolean {
    if (!this.#help || size > BATCH_BYTES / 4 || ++this.#met <= ALONE) return false;
    return this.#files.length > 0 || this.#posted - Atomics.load(this.#help.done, 0) < AHEAD;
  }

  /** Its directory is there. `bytes` are copied. */
  add(file: NewFile, bytes: Uint8Array): void {
    if (this.#filled + bytes.length > BATCH_BYTES) this.#post();
    this.#data.set(bytes, this.#filled);
    this.#filled += bytes.length;
    this.#files.push({ ...file, size: bytes.length });
    if (this.#files.length >= BATCH_FILES) this.#post();
  }

  /** Waits until all is written. Throws what failed. */
  finish(): void {
    this.#post();
    const failure = this.#settled();
    if (failure) throw Object.assign(new Error(failure.message), { code: failure.code });
    if (this.#help && Atomics.load(this.#help.done, 0) >= HELP_ENDED) {
      throw unavailable('a thread that writes files has ended');
    }
  }

  /** Nothing is written any more afterwards. To be called however it went. */
  close(): void {
    this.#files = [];
    this.#settled();
    this.#help?.port.close();
  }

  #post(): void {
    if (!this.#help || this.#files.length === 0) return;
    const batch: Batch = { files: this.#files, data: this.#data.slice(0, this.#filled) };
    this.#help.port.postMessage(batch, [batch.data.buffer]);
    this.#posted++;
    this.#files = [];
    this.#filled = 0;
  }

  #settled(): Failure | undefined {
    if (!this.#help) return undefined;
    const { done, port } = this.#help;
    for (let seen = Atomics.load(done, 0); seen < this.#posted; seen = Atomics.load(done, 0)) {
      Atomics.wait(done, 0, seen);
    }
    return receiveMessageOnPort(port)?.message as Failure | undefined;
  }
}

/** For whoever sees that the other thread ended before the copy did: what waits for it fails. */
export function endHelp(done: Int32Array<SharedArrayBuffer>): void {
  Atomics.add(done, 0, HELP_ENDED);
  Atomics.notify(done, 0);
}

/** The other side: writes what comes until the port is closed. */
export function writeShared({ port, done }: WritingHelp): Promise<void> {
  let failed = false;
  port.on('message', (batch: Batch) => {
    try {
      if (!failed) writeAll(batch);
    } catch (error) {
      failed = true;
      const { message } = error as Error;
      port.postMessage({ message, code: systemCode(error) } satisfies Failure);
    }
    Atomics.add(done, 0, 1);
    Atomics.notify(done, 0);
  });
  return new Promise((resolve) => port.once('close', () => resolve()));
}

function writeAll({ files, data }: Batch): void {
  let at = 0;
  for (const file of files) {
    writeNewFile(file, data.subarray(at, at + file.size));
    at += file.size;
  }
}

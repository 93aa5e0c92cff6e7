import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { canceled, SlipwayError, systemCode, tooLarge } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import { TarParser, type TarSink } from '#tar/parser.ts';
import { readIndex, writeIndex } from './archive-index.ts';
import { ArchiveUpdater, contentOf } from './archive-updater.ts';
import { ChunkBuffer } from './chunk-buffer.ts';
import { decompress } from './decompress.ts';
import { listNames } from './directory-listing.ts';
import { packLayer } from './layer-packer.ts';
import { LayerUnpacker } from './layer-unpacker.ts';
import {
  type FromThread,
  type ThreadError,
  type ToThread,
  type TreeResults,
  type TreeTask,
  type UnpackLimits,
  WINDOW_BYTES,
} from './messages.ts';
import { settleChanges } from './settle-changes.ts';
import { treeChanges } from './tree-changes.ts';
import { treeUsage } from './tree-usage.ts';

/** A thread's entry point: runs the pool's tasks. Several may be under way; their synchronous pieces take turns. */

const CHUNK_BYTES = 256 * 1024;
const port = parentPort!;
// It has loaded all that it needs.
port.postMessage({ id: 0 });
const jobs = new Map<number, Job>();

port.on('message', (message: ToThread) => {
  if ('task' in message) void start(message.id, message.task);
  else jobs.get(message.id)?.receive(message);
});

async function start(id: number, task: TreeTask): Promise<void> {
  const job = new Job(id);
  jobs.set(id, job);
  try {
    post({ id, result: await run(task, job) });
  } catch (error) {
    post({ id, error: describe(error) });
  } finally {
    jobs.delete(id);
  }
}

async function run(task: TreeTask, job: Job): Promise<unknown> {
  switch (task.op) {
    case 'unpack':
      return unpack(task.root, task.limits, job);
    case 'receive':
      return receive(task, job);
    case 'pack':
      return pack(task, job);
    case 'digest':
      return digest(task, job);
    case 'changes':
      return treeChanges(task.root, task.lowers);
    case 'usage':
      return treeUsage(task.root);
    case 'remove':
      return rmSync(task.path, { recursive: true, force: true });
  }
}

async function unpack(root: string, limits: UnpackLimits, job: Job): Promise<TreeResults['unpack']> {
  const hash = createHash('sha256');
  const unpacker = new LayerUnpacker(root);
  let tarBytes = 0;
  await read(unpacker, job, limits, (chunk) => {
    tarBytes += chunk.length;
    if (tarBytes > limits.maxBytes) {
      throw tooLarge(`the layer is larger than ${limits.maxBytes} bytes when unpacked`);
    }
    hash.update(chunk);
  });
  return {
    diffId: `sha256:${hash.digest('hex')}`,
    bytes: unpacker.bytes,
    tarBytes,
    impliedDirectories: unpacker.impliedDirectories,
  };
}

async function receive(
  { root, index, limits }: Extract<TreeTask, { op: 'receive' }>,
  job: Job,
): Promise<TreeResults['receive']> {
  const known = readIndex(index);
  if (!known) for (const name of listNames(root)) rmSync(systemPath(`${root}/${name}`), { recursive: true });
  const updater = new ArchiveUpdater(root, known ?? new Map());
  let tarBytes = 0;
  await read(updater, job, limits, (chunk) => {
    tarBytes += chunk.length;
    if (tarBytes > limits.maxBytes) throw tooLarge(`the archive is larger than ${limits.maxBytes} bytes`);
  });
  const { index: entries, bytes } = updater;
  if (!entries) rmSync(index, { force: true });
  else if (updater.changed || !known) writeIndex(index, entries);
  return { content: entries && contentOf(entries), entries: entries?.size ?? 0, bytes };
}

/** `see` is told of each piece of the uncompressed tar before it is unpacked. */
async function read(
  unpacker: TarSink & { finish(): void; close(): void },
  job: Job,
  { maxEntries }: UnpackLimits,
  see: (chunk: Uint8Array) => void,
): Promise<void> {
  const parser = new TarParser(unpacker, { maxEntries });
  try {
    for await (const chunk of decompress(job.input())) {
      see(chunk);
      parser.write(chunk);
    }
    parser.finish();
    unpacker.finish();
  } finally {
    unpacker.close();
  }
}

async function pack(
  { root, mtime }: Extract<TreeTask, { op: 'pack' }>,
  job: Job,
): Promise<TreeResults['pack']> {
  const output = new ChunkBuffer(
    CHUNK_BYTES,
    (chunk) => job.output(chunk),
    () => job.memory(),
  );
  return { bytes: await inSlices(packLayer(root, output, { mtime }), job) };
}

async function digest(
  { root, lowers }: Extract<TreeTask, { op: 'digest' }>,
  job: Job,
): Promise<TreeResults['digest']> {
  if (lowers) settleChanges(root, lowers);
  const hash = createHash('sha256');
  let tarBytes = 0;
  const output = new ChunkBuffer(CHUNK_BYTES, (chunk) => {
    hash.update(chunk);
    tarBytes += chunk.length;
  });
  const bytes = await inSlices(packLayer(root, output, { settled: lowers !== undefined }), job);
  return { diffId: `sha256:${hash.digest('hex')}`, bytes, tarBytes };
}

/** To its end, or until the job is given up: what is open is closed then, too. */
async function inSlices(slices: Generator<undefined, number>, job: Job): Promise<number> {
  try {
    for (;;) {
      const slice = slices.next();
      if (slice.done) return slice.value;
      await job.room();
    }
  } finally {
    slices.return(0);
  }
}

class Job {
  readonly #id: number;
  #chunks: Uint8Array[] = [];
  #ended = false;
  readonly #memory: ArrayBuffer[] = [];
  #aborted = false;
  #outstanding = 0;
  #wake: () => void = () => {};

  constructor(id: number) {
    this.#id = id;
  }

  receive(message: ToThread): void {
    if ('chunk' in message) this.#chunks.push(message.chunk);
    else if ('taken' in message) this.#took(message);
    else if ('end' in message) this.#ended = true;
    else if ('abort' in message) this.#aborted = true;
    this.#wake();
  }

  async *input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      this.#check();
      const chunk = this.#chunks.shift();
      if (chunk) {
        yield chunk;
        post({ id: this.#id, taken: chunk.length });
      } else if (this.#ended) {
        return;
      } else {
        await this.#woken();
      }
    }
  }

  output(chunk: Uint8Array<ArrayBuffer>): void {
    this.#outstanding += chunk.length;
    port.postMessage({ id: this.#id, chunk } satisfies FromThread, [chunk.buffer]);
  }

  /** Of a chunk that its reader is done with. */
  memory(): ArrayBuffer | undefined {
    return this.#memory.pop();
  }

  /** Lets messages in and other jobs run; waits while the reader of the output lags behind. */
  async room(): Promise<void> {
    await nextTurn();
    this.#check();
    while (this.#outstanding > WINDOW_BYTES) {
      await this.#woken();
      this.#check();
    }
  }

  #took({ taken, memory }: Extract<ToThread, { taken: number }>): void {
    this.#outstanding -= taken;
    if (memory) this.#memory.push(memory);
  }

  #check(): void {
    if (this.#aborted) throw canceled();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function describe(error: unknown): ThreadError {
  const known = error instanceof SlipwayError ? error : undefined;
  return {
    kind: known?.kind,
    message: error instanceof Error ? error.message : String(error),
    code: known?.code ?? systemCode(error),
    stack: error instanceof Error ? error.stack : undefined,
  };
}

function post(message: FromThread): void {
  port.postMessage(message);
}

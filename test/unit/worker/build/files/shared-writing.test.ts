import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { FileRequest } from '#worker/build/files/file-messages.ts';
import { FilePool } from '#worker/build/files/file-pool.ts';
import { FileWorker } from '#worker/build/files/file-worker.ts';
import { copyIntoLayer } from '#worker/build/files/layer-copy.ts';
import type { NewFile } from '#worker/build/files/new-file.ts';
import { endHelp, SharedWriting } from '#worker/build/files/shared-writing.ts';
import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';

const FILES = 240;
const NEVER = { signal: new AbortController().signal };

let folder: string;
let pool: FilePool;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-shared-'));
  for (let i = 0; i < FILES; i++) {
    const directory = join(folder, 'source', `${i % 7}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `${i}`), `${i}`.repeat(i), { mode: i % 3 === 0 ? 0o755 : 0o640 });
  }
  pool = new FilePool({ threads: 4 });
  await makeReady();
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Two threads that have nothing to do. */
async function makeReady(): Promise<void> {
  await Promise.all([1, 2].map(() => pool.run('stat', { root: folder, path: 'source' }, NEVER)));
}

function requestOf(name: string, wishes: object = {}): FileRequest<'copyAsLayer'> {
  const upper = join(folder, name);
  mkdirSync(upper, { recursive: true });
  const copy = { type: 'copy', src: '/', dest: '/app', source: join(folder, 'source') } as const;
  const options = { dirCopyContents: true, followSymlink: true, createDestPath: true } as const;
  const more = { allowWildcard: false, allowEmptyWildcard: false, unpack: false, ...wishes } as const;
  return {
    upper,
    lowers: [],
    action: { ...copy, ...options, ...more } as FileRequest<'copyAsLayer'>['action'],
  };
}

function contentsOf(directory: string): unknown[] {
  return [...listDirectory(directory)].map(({ name, path, stats }) =>
    stats.isDirectory()
      ? { name, mode: stats.mode, mtime: stats.mtimeMs, in: contentsOf(path) }
      : { name, mode: stats.mode, mtime: stats.mtimeMs, text: readFileSync(path, 'utf8') },
  );
}

/** What one thread hands to another one, which this starts. */
async function sharing(task: (shared: SharedWriting, done: Int32Array) => void): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const done = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const worker = new FileWorker();
  const helping = worker.call('writeShared', { port: port2, done }, [port2]);
  const shared = new SharedWriting({ port: port1, done });
  try {
    // With few files none is taken.
    while (!shared.takes(1));
    task(shared, done);
  } finally {
    shared.close();
    await helping;
    await worker.terminate();
  }
}

function fileIn(directory: string, name: string | number): NewFile {
  const time = { seconds: 1_000_000_000, nanoseconds: 0 };
  return { path: join(directory, `${name}`), mode: 0o640, uid: 0, gid: 0, time };
}

it('makes what one thread makes', async () => {
  const used = vi.spyOn(FileWorker.prototype, 'call');
  const shared = await pool.copyAsLayer(requestOf('shared'), NEVER);
  const [, help] = used.mock.calls.find(([operation]) => operation === 'writeShared')!;
  expect(Atomics.load((help as FileRequest<'writeShared'>).done, 0)).toBeGreaterThan(0);
  const { source } = requestOf('alone').action;
  const upper = join(folder, 'alone');
  const request = { source, path: '/', destination: '/app', contents: true, follow: true, upper, lowers: [] };
  expect(shared).toEqual(copyIntoLayer(request, { replace: false }));
  const app = join(folder, 'shared/app');
  expect(contentsOf(app)).toEqual(contentsOf(join(upper, 'app')));
  expect(lstatSync(join(app, '6')).isDirectory()).toBe(true);
});

it('has another thread write what is handed over', async () => {
  const directory = requestOf('handed').upper;
  await sharing((shared, done) => {
    for (let i = 0; i < 100; i++) shared.add(fileIn(directory, i), Buffer.from(`text ${i}`));
    shared.finish();
    expect(Atomics.load(done, 0)).toBe(7);
  });
  for (let i = 0; i < 100; i++) expect(readFileSync(join(directory, `${i}`), 'utf8')).toBe(`text ${i}`);
});

it.each([
  ['EEXIST', (directory: string) => fileIn(directory, 'occupied')],
  ['ENOTDIR', (directory: string) => fileIn(join(directory, 'occupied'), 'below')],
  ['ENAMETOOLONG', (directory: string) => fileIn(directory, 'x'.repeat(256))],
])('tells what the other thread fails with: %s', async (code, hostile) => {
  const directory = requestOf(`fails-${code}`).upper;
  writeFileSync(join(directory, 'occupied'), 'mine');
  await sharing((shared, done) => {
    shared.add(hostile(directory), Buffer.from('theirs'));
    for (let i = 0; i < 100; i++) shared.add(fileIn(directory, i), Buffer.from('more'));
    expect(() => shared.finish()).toThrow(expect.objectContaining({ code }));
    expect(Atomics.load(done, 0)).toBe(7);
  });
  expect(readFileSync(join(directory, 'occupied'), 'utf8')).toBe('mine');
  // Nothing more is written after a failure.
  expect(existsSync(join(directory, '99'))).toBe(false);
});

it('does not wait for a thread that has ended', async () => {
  const { port1, port2 } = new MessageChannel();
  const done = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const shared = new SharedWriting({ port: port1, done });
  while (!shared.takes(1));
  shared.add(fileIn(folder, 'never'), Buffer.from('never'));
  endHelp(done);
  expect(() => shared.finish()).toThrow(expect.objectContaining({ kind: 'unavailable' }));
  shared.close();
  port2.close();
});

it('fails when the thread that helps ends', async () => {
  await makeReady();
  const call = FileWorker.prototype.call;
  vi.spyOn(FileWorker.prototype, 'call').mockImplementation(function (this: FileWorker, operation, ...rest) {
    if (operation === 'writeShared') void this.terminate();
    return call.call(this, operation, ...rest) as never;
  });
  await expect(pool.copyAsLayer(requestOf('helpless'), NEVER)).rejects.toMatchObject({ kind: 'unavailable' });
  vi.restoreAllMocks();
  await makeReady();
  await expect(pool.copyAsLayer(requestOf('helped'), NEVER)).resolves.toBeDefined();
});

it.each([
  ['a mode that is none', { mode: 'bogus' }, /invalid syntax/],
  ['a NUL in a destination', { dest: '/a\0b' }, /invalid argument/],
  ['a NUL in a source', { src: '/a\0b' }, /invalid argument/],
])('refuses %s, and is good for the next one', async (what, wishes, message) => {
  await makeReady();
  const used = vi.spyOn(FileWorker.prototype, 'call');
  const refused = pool.copyAsLayer(requestOf('refused', wishes), NEVER);
  await expect(refused).rejects.toMatchObject({ kind: 'invalid', message });
  expect(used.mock.calls.map(([operation]) => operation)).toContain('writeShared');
  await expect(pool.copyAsLayer(requestOf(`next to ${what}`), NEVER)).resolves.toMatchObject({
    tarBytes: expect.any(Number),
  });
});

it('fails as one thread does', async () => {
  const request = requestOf('occupied');
  mkdirSync(join(request.upper, 'app'), { recursive: true });
  await makeReady();
  await expect(pool.copyAsLayer(request, NEVER)).rejects.toMatchObject({
    kind: 'invalid',
    message: /exists/,
  });
});

it('ends both threads when it is given up', async () => {
  const controller = new AbortController();
  const copying = pool.copyAsLayer(requestOf('given-up'), controller);
  setImmediate(() => controller.abort());
  const ended = await copying.then(
    () => 'done',
    (error: { kind?: string }) => error.kind,
  );
  expect(['done', 'canceled']).toContain(ended);
  // Neither holds a turn any more.
  expect(await pool.run('stat', { root: folder, path: 'source' }, NEVER)).toMatchObject({ path: 'source' });
});

import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { FileRequest } from '#worker/build/files/file-messages.ts';
import { FilePool } from '#worker/build/files/file-pool.ts';
import { copyIntoLayer } from '#worker/build/files/layer-copy.ts';
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
  // Two threads that are ready afterwards.
  await Promise.all([1, 2].map(() => pool.run('stat', { root: folder, path: 'source' }, NEVER)));
});
afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function requestOf(name: string): FileRequest<'copyAsLayer'> {
  const upper = join(folder, name);
  mkdirSync(upper, { recursive: true });
  const copy = { type: 'copy', src: '/', dest: '/app', source: join(folder, 'source') } as const;
  const options = { dirCopyContents: true, followSymlink: true, createDestPath: true } as const;
  const more = { allowWildcard: false, allowEmptyWildcard: false, unpack: false } as const;
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

it('makes what one thread makes', async () => {
  const shared = await pool.copyAsLayer(requestOf('shared'), NEVER);
  const { source } = requestOf('alone').action;
  const upper = join(folder, 'alone');
  const request = { source, path: '/', destination: '/app', contents: true, follow: true, upper, lowers: [] };
  expect(shared).toEqual(copyIntoLayer(request, { replace: false }));
  const app = join(folder, 'shared/app');
  expect(contentsOf(app)).toEqual(contentsOf(join(upper, 'app')));
  expect(lstatSync(join(app, '6')).isDirectory()).toBe(true);
});

it('fails as one thread does, whichever of them it is that fails', async () => {
  const request = requestOf('occupied');
  for (let i = 0; i < FILES; i += 50) {
    mkdirSync(join(request.upper, `app/${i % 7}`), { recursive: true });
  }
  await expect(pool.copyAsLayer(request, NEVER)).rejects.toMatchObject({ message: /EEXIST/ });
  // Both threads are good for the next one.
  await expect(pool.copyAsLayer(requestOf('next'), NEVER)).resolves.toMatchObject({
    tarBytes: expect.any(Number),
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

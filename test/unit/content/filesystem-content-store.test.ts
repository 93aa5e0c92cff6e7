import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DurableDirectories } from '#content/durable-directories.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { FilesystemContentWriter } from '#content/filesystem-content-writer.ts';

let root: string;
let store: FilesystemContentStore;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'slipway-content-'));
  store = new FilesystemContentStore(root);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** The descriptors of this process that lead below the store. */
async function openFiles(): Promise<string[]> {
  const links = readdirSync('/proc/self/fd').map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((path) => path.startsWith(root));
}

it('keeps what is being written apart from what is committed', async () => {
  const writer = await store.writer('uploads/ab/1');
  await writer.write(Buffer.from('abc'));
  await writer.close();
  expect(readFileSync(join(root, 'ingest/uploads/ab/1'), 'utf8')).toBe('abc');
  const again = await store.writer('uploads/ab/1');
  await again.commit();
  expect(readFileSync(join(root, 'content/uploads/ab/1'), 'utf8')).toBe('abc');
  expect(readdirSync(join(root, 'ingest/uploads/ab'))).toEqual([]);
});

it('writes through to the file when a writer is closed, and in batches before', async () => {
  const writer = await store.writer('a');
  await writer.write(Buffer.alloc(1000));
  expect(readFileSync(join(root, 'ingest/a')).length).toBe(0);
  await writer.write(Buffer.alloc(1024 * 1024));
  await writer.write(Buffer.alloc(1));
  await writer.close();
  expect(readFileSync(join(root, 'ingest/a')).length).toBe(1024 * 1024 + 1001);
});

it('closes every file, however a read or a write ends', async () => {
  await using committed = await store.writer('a');
  await committed.write(Buffer.alloc(2_000_000));
  await committed.commit();
  const aborted = await store.writer('b');
  await aborted.abort();
  const closed = await store.writer('c');
  await closed.close();
  for await (const _ of await store.open('a')) break;
  await (await store.open('a'))[Symbol.asyncIterator]().return?.();
  await (await store.open('a')).each(async () => {});
  await (await store.open('a')).each(() => Promise.reject(new Error('x'))).catch(() => {});
  await store.open('missing').catch(() => {});
  expect(await openFiles()).toEqual([]);
});

it('goes on reading content that is deleted meanwhile', async () => {
  const writer = await store.writer('a');
  await writer.write(Buffer.alloc(3_000_000, 7));
  await writer.commit();
  const reader = await store.open('a');
  await store.delete('a');
  let size = 0;
  for await (const chunk of reader) size += chunk.length;
  expect(size).toBe(3_000_000);
});

it('tells a full disk from a bug', async () => {
  const directories = new DurableDirectories(root);
  const writer = await FilesystemContentWriter.open({
    path: '/dev/full',
    target: join(root, 'x'),
    directories,
    patient: false,
  });
  await writer.write(Buffer.alloc(10));
  await expect(writer.commit()).rejects.toMatchObject({ kind: 'unavailable' });
});

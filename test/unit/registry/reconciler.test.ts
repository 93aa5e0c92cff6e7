import { beforeEach, expect, it } from 'vitest';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { openRegistryDatabase, type RegistryDatabase } from '#database/registry/open.ts';
import { digestOf } from '#oci/digest.ts';
import { parseRepositoryName } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { createRegistry, type Registry } from '#registry/registry.ts';

const name = parseRepositoryName('a/b');
const future = new Date(Date.now() + 3_600_000);
const past = new Date(Date.now() - 3_600_000);

let db: RegistryDatabase;
let content: MemoryContentStore;
let registry: Registry;

beforeEach(async () => {
  db = await openRegistryDatabase(':memory:');
  content = new MemoryContentStore();
  registry = createRegistry({ db, content });
});

async function* body(text: string) {
  yield Buffer.from(text);
}

async function list(entries: AsyncIterable<{ location: string }>): Promise<string[]> {
  const found: string[] = [];
  for await (const { location } of entries) found.push(location);
  return found;
}

async function write(location: string, end: 'commit' | 'close'): Promise<void> {
  const writer = await content.writer(location);
  await writer.write(Buffer.from('stray'));
  await writer[end]();
}

it('removes what was being written by nobody who is left, and keeps uploads', async () => {
  const id = await registry.uploads.begin(name);
  await registry.uploads.append(name, id, body('kept'));
  await write('uploads/00/stray', 'close');
  expect(await registry.reconciler.expireUploads({ idleSince: past, strayBefore: future })).toBe(1);
  expect(await list(content.ingests())).toHaveLength(1);
  expect(await registry.uploads.offset(name, id)).toBe(4);
});

it('leaves alone what may still be written', async () => {
  await write('uploads/00/busy', 'close');
  expect(await registry.reconciler.expireUploads({ idleSince: past, strayBefore: past })).toBe(0);
  expect(await list(content.ingests())).toEqual(['uploads/00/busy']);
});

it('expires uploads that did not grow, begun or not', async () => {
  const begun = await registry.uploads.begin(name);
  await registry.uploads.append(name, begun, body('x'));
  const empty = await registry.uploads.begin(name);
  expect(await registry.reconciler.expireUploads({ idleSince: past, strayBefore: past })).toBe(0);
  expect(await registry.reconciler.expireUploads({ idleSince: future, strayBefore: past })).toBe(2);
  for (const id of [begun, empty]) {
    await expect(registry.uploads.offset(name, id)).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
  }
  expect(await list(content.ingests())).toEqual([]);
});

it('keeps an old upload that grew of late', async () => {
  const id = await registry.uploads.begin(name);
  await db.updateTable('uploads').set({ created_at: 0 }).execute();
  await registry.uploads.append(name, id, body('x'));
  expect(await registry.reconciler.expireUploads({ idleSince: past, strayBefore: past })).toBe(0);
  expect(await registry.uploads.offset(name, id)).toBe(1);
});

it('deletes content without an owner, and nothing else', async () => {
  const digest = digestOf('owned');
  await registry.uploads.put(name, digest, body('owned'), SYSTEM);
  const owned = await list(content.walk());
  await write('uploads/00/stray', 'commit');
  expect(await registry.reconciler.deleteStrayContent({ before: past })).toBe(0);
  expect(await registry.reconciler.deleteStrayContent({ before: future })).toBe(1);
  expect(await list(content.walk())).toEqual(owned);
});

it('keeps content whose upload is about to be recorded', async () => {
  const id = await registry.uploads.begin(name);
  const { location } = await db
    .selectFrom('uploads')
    .select('location')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  await write(location, 'commit');
  expect(await registry.reconciler.deleteStrayContent({ before: future })).toBe(0);
});

it('looks at more than one batch', async () => {
  for (let number = 0; number < 1101; number++) {
    await write(`uploads/00/content-${number}`, 'commit');
    await write(`uploads/00/ingest-${number}`, 'close');
    if (number % 2 === 0) await registry.uploads.begin(name);
  }
  expect(await registry.reconciler.deleteStrayContent({ before: future })).toBe(1101);
  expect(await registry.reconciler.expireUploads({ idleSince: future, strayBefore: future })).toBe(
    1101 + 551,
  );
});

import { beforeEach, expect, it, vi } from 'vitest';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { openRegistryDatabase, type RegistryDatabase } from '#database/registry/open.ts';
import { digestOf } from '#oci/digest.ts';
import { parseRepositoryName } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { createRegistry, type Registry } from '#registry/registry.ts';

const name = parseRepositoryName('a/b');
let db: RegistryDatabase;
let content: MemoryContentStore;
let registry: Registry;

beforeEach(async () => {
  db = await openRegistryDatabase(':memory:');
  content = new MemoryContentStore();
  registry = createRegistry({ db, content });
});

async function* body(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text);
}

async function* breaking(text: string) {
  yield Buffer.from(text);
  throw new Error('the sender is gone');
}

async function read(digest: ReturnType<typeof digestOf>): Promise<string> {
  const blob = await registry.blobs.get(name, digest);
  let text = '';
  for await (const chunk of await blob.open()) text += Buffer.from(chunk);
  return text;
}

/** The same data under another process. */
const restart = () => {
  registry = createRegistry({ db, content });
};

it.each(['sha256', 'sha512'] as const)(
  'goes on after a restart, with the right hash (%s)',
  async (algorithm) => {
    const id = await registry.uploads.begin(name, algorithm);
    await registry.uploads.append(name, id, body('one', 'two'));
    restart();
    expect(await registry.uploads.offset(name, id)).toBe(6);
    await registry.uploads.append(name, id, body('three'), { start: 6, end: 10 });
    restart();
    const digest = digestOf('onetwothree', algorithm);
    await registry.uploads.finish(name, id, { digest, body: body(), actor: SYSTEM });
    expect(await read(digest)).toBe('onetwothree');
  },
);

it('hashes what was stored, not what was sent, when a body breaks', async () => {
  const id = await registry.uploads.begin(name);
  await expect(registry.uploads.append(name, id, breaking('one'))).rejects.toThrow('gone');
  await registry.uploads.append(name, id, body('two'));
  const digest = digestOf('onetwo');
  await registry.uploads.finish(name, id, { digest, body: body(), actor: SYSTEM });
  expect(await read(digest)).toBe('onetwo');
});

it('does not read back what it hashed while it came', async () => {
  const id = await registry.uploads.begin(name);
  const writer = vi.spyOn(content, 'writer');
  const reads: string[] = [];
  writer.mockImplementation(async (location) => {
    const real = await MemoryContentStore.prototype.writer.call(content, location);
    return new Proxy(real, {
      get(target, property) {
        if (property === 'read') reads.push(location);
        const value = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  });
  for (const text of ['one', 'two', 'three']) {
    await registry.uploads.append(name, id, body(text));
    // Nor when the client asks how far it is, or is out of step.
    await registry.uploads.offset(name, id);
    const again = registry.uploads.append(name, id, body('one'), { start: 0, end: 2 });
    await expect(again).rejects.toMatchObject({ kind: 'range' });
  }
  await registry.uploads.finish(name, id, { digest: digestOf('onetwothree'), body: body(), actor: SYSTEM });
  expect(writer).toHaveBeenCalledTimes(10);
  expect(reads).toEqual([]);
});

it('runs the requests for one upload one after another', async () => {
  const id = await registry.uploads.begin(name);
  const gate = Promise.withResolvers<void>();
  async function* slow() {
    yield Buffer.from('one');
    await gate.promise;
    yield Buffer.from('two');
  }
  const first = registry.uploads.append(name, id, slow());
  const second = registry.uploads.append(name, id, body('three'));
  await expect.poll(() => registry.uploads.offset(name, id)).toBe(3);
  gate.resolve();
  expect(await Promise.all([first, second])).toEqual([6, 11]);
  await registry.uploads.finish(name, id, { digest: digestOf('onetwothree'), body: body(), actor: SYSTEM });
});

it('lets only one of two ends be the end', async () => {
  const id = await registry.uploads.begin(name);
  const digest = digestOf('x');
  const ends = [1, 2].map(() =>
    registry.uploads.finish(name, id, { digest, body: body('x'), actor: SYSTEM }),
  );
  const outcomes = await Promise.allSettled(ends);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect(await read(digest)).toBe('x');
});

it('leaves the bytes of an upload whose record failed to the collector', async () => {
  const id = await registry.uploads.begin(name);
  await registry.uploads.append(name, id, body('x'));
  await db.schema.dropTable('repository_blobs').execute();
  await expect(
    registry.uploads.finish(name, id, { digest: digestOf('x'), body: body(), actor: SYSTEM }),
  ).rejects.toThrow();
  for await (const left of content.ingests()) throw new Error(`left ${left.location}`);
  const left: string[] = [];
  for await (const { location } of content.walk()) left.push(location);
  const listed = await db.selectFrom('gc_locations').select('location').execute();
  expect(left).toHaveLength(1);
  expect(listed.map(({ location }) => location)).toEqual(left);
});

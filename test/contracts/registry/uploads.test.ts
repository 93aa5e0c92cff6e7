import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import { parseRepositoryName } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { createRegistry, type Registry } from '#registry/registry.ts';
import { UploadHolds } from '#registry/uploads/upload-holds.ts';
import { UploadsRepository } from '#registry/uploads/uploads-repository.ts';
import { onEachDatabase, type TestDatabase } from '../../database/registry-databases.ts';

const name = parseRepositoryName('a/b');

async function* body(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text);
}

/** A body that goes on when it is told to. */
function heldBody(first: string, second: string) {
  const [reached, rest] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  async function* parts() {
    yield Buffer.from(first);
    reached.resolve();
    await rest.promise;
    yield Buffer.from(second);
  }
  return { body: parts(), reached: reached.promise, goOn: rest.resolve };
}

async function read(registry: Registry, digest: Digest): Promise<string> {
  const blob = await registry.blobs.get(name, digest);
  let text = '';
  for await (const chunk of await blob.open()) text += Buffer.from(chunk);
  return text;
}

onEachDatabase('uploads', (create, dialect) => {
  /** Processes on one database and one content store. */
  async function processes(database: TestDatabase, count: number) {
    const content = new MemoryContentStore();
    const registries: Registry[] = [];
    for (let number = 0; number < count; number++) {
      // Two connections of SQLite's in one thread would wait for each other.
      const db = dialect === 'sqlite' ? database.db : await database.another();
      registries.push(createRegistry({ db, content }));
    }
    return { registries: registries as [Registry, Registry, Registry], content };
  }

  /** As if the process that has it now had been silent for too long. */
  const declareDead = (database: TestDatabase, id: string) =>
    database.db.updateTable('uploads').set({ held_until: 0 }).where('id', '=', id).execute();

  const finish = (registry: Registry, id: string, text: string) =>
    registry.uploads.finish(name, id, { digest: digestOf(text), body: body(), actor: SYSTEM });

  it('go on in whichever process the next chunk comes to', async () => {
    await using database = await create();
    const { registries } = await processes(database, 3);
    const [one, two, three] = registries;
    const id = await one.uploads.begin(name);
    let text = '';
    for (let number = 0; number < 9; number++) {
      const chunk = `chunk ${number},`;
      const range = { start: text.length, end: text.length + chunk.length - 1 };
      text += chunk;
      const offset = await registries[number % 3]!.uploads.append(name, id, body(chunk), range);
      expect(offset).toBe(text.length);
    }
    expect(await two.uploads.offset(name, id)).toBe(text.length);
    await finish(three, id, text);
    expect(await read(one, digestOf(text))).toBe(text);
  });

  it('hash what is stored, also when another process stored as much of something else', async () => {
    await using database = await create();
    const { registries, content } = await processes(database, 2);
    const [one, two] = registries;
    const id = await one.uploads.begin(name);
    await one.uploads.append(name, id, body('one'));
    const [{ location }] = (await database.db.selectFrom('uploads').select('location').execute()) as [
      { location: string },
    ];
    // What the first process wrote did not last.
    await content.delete(location);
    await two.uploads.append(name, id, body('two'));
    await finish(one, id, 'two');
    expect(await read(two, digestOf('two'))).toBe('two');
  });

  it('let requests that come to two processes at once work one after another', async () => {
    await using database = await create();
    const { registries } = await processes(database, 2);
    const [one, two] = registries;
    const id = await one.uploads.begin(name);
    const slow = heldBody('a', 'b');
    const order: string[] = [];
    const first = one.uploads.append(name, id, slow.body).then(() => order.push('first'));
    await slow.reached;
    const second = two.uploads.append(name, id, body('c')).then(() => order.push('second'));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(order).toEqual([]);
    slow.goOn();
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
    await finish(two, id, 'abc');
    expect(await read(one, digestOf('abc'))).toBe('abc');
  });

  it('end once when two processes are told to end them', async () => {
    await using database = await create();
    const { registries } = await processes(database, 3);
    const id = await registries[0].uploads.begin(name);
    await registries[0].uploads.append(name, id, body('text'));
    const ends = await Promise.allSettled(registries.map((registry) => finish(registry, id, 'text')));
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const end of ends) if (end.status === 'rejected') expect(end.reason.kind).toBe('not-found');
    expect(await read(registries[1], digestOf('text'))).toBe('text');
  });

  it('pass on from a process that was silent for too long, whose bytes no longer count', async () => {
    await using database = await create();
    const { registries, content } = await processes(database, 2);
    const [one, two] = registries;
    const id = await one.uploads.begin(name);
    await one.uploads.append(name, id, body('kept '));
    const slow = heldBody('lost', 'late');
    const late = one.uploads.append(name, id, slow.body);
    late.catch(() => {});
    await slow.reached;
    await declareDead(database, id);
    const offset = await two.uploads.offset(name, id);
    expect(offset).toBeGreaterThanOrEqual('kept '.length);
    const before = 'kept lost'.slice(0, offset);
    await two.uploads.append(name, id, body('more'));
    slow.goOn();
    await expect(late).rejects.toMatchObject({ kind: 'conflict' });
    expect(await two.uploads.offset(name, id)).toBe(before.length + 4);
    await finish(two, id, `${before}more`);
    expect(await read(one, digestOf(`${before}more`))).toBe(`${before}more`);
    expect(await Array.fromAsync(content.ingests())).toEqual([]);
    expect(await Array.fromAsync(content.walk())).toHaveLength(1);
  });

  it('stay with a request that takes longer than a hold lasts', async () => {
    await using database = await create();
    const uploads = new UploadsRepository(database.db, { hold: 400 });
    const [mine, theirs] = [new UploadHolds({ uploads }), new UploadHolds({ uploads })];
    const id = randomUUID();
    await uploads.add({ id, repository: name, location: 'uploads/x', algorithm: 'sha256' });
    const order: string[] = [];
    const long = mine.run(name, id, async (hold) => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      hold.throwIfLost();
      order.push('long');
    });
    await expect.poll(() => mine.isWorking(id)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await theirs.run(name, id, async ({ upload }) => {
      expect(upload.suspect).toBe(false);
      order.push('next');
    });
    await long;
    expect(order).toEqual(['long', 'next']);
    await expect(mine.run(name, randomUUID(), async () => {})).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('become no blob by a process that lost them', async () => {
    await using database = await create();
    const { registries } = await processes(database, 2);
    const [one, two] = registries;
    const id = await one.uploads.begin(name);
    const slow = heldBody('a', 'b');
    const late = one.uploads.finish(name, id, { digest: digestOf('ab'), body: slow.body, actor: SYSTEM });
    late.catch(() => {});
    await slow.reached;
    await declareDead(database, id);
    await two.uploads.cancel(name, id);
    slow.goOn();
    await expect(late).rejects.toMatchObject({ kind: 'conflict' });
    await expect(read(two, digestOf('ab'))).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('go on at once after the only process was killed and started again', async () => {
    await using database = await create();
    const { registries, content } = await processes(database, 1);
    const id = await registries[0].uploads.begin(name);
    const slow = heldBody('a', 'b');
    void registries[0].uploads.append(name, id, slow.body).catch(() => {});
    await slow.reached;
    const restarted = createRegistry({ db: await database.another(), content });
    await restarted.uploads.releaseAll();
    expect(await restarted.uploads.offset(name, id)).toBeLessThanOrEqual(1);
    slow.goOn();
  });
});

import { describe, expect, it } from 'vitest';
import type { ContentStore } from '#content/content-store.ts';
import { isKind } from '#errors/errors.ts';

/** A store for one test; disposing removes what it kept. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: ContentStore;
  /** A second instance over the same content, as another process would have it; the same one if there is none. */
  reopen(): ContentStore;
}

const bytes = (text: string) => Buffer.from(text);

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

async function put(store: ContentStore, location: string, text: string): Promise<void> {
  await using writer = await store.writer(location);
  await writer.write(bytes(text));
  await writer.commit();
}

async function locations(entries: AsyncIterable<{ location: string }>): Promise<string[]> {
  const found: string[] = [];
  for await (const { location } of entries) found.push(location);
  return found.sort();
}

/** What every driver of the ContentStore port has to do. */
export function contentStoreContract(driver: string, create: () => Promise<StoreUnderTest>): void {
  describe(`ContentStore: ${driver}`, () => {
    it('shows content once it is committed, and not before', async () => {
      await using made = await create();
      const { store } = made;
      await using writer = await store.writer('a/b');
      await writer.write(bytes('hello '));
      await writer.write(bytes('world'));
      expect(writer.offset).toBe(11);
      expect(await store.stat('a/b')).toBeUndefined();
      await expect(store.open('a/b')).rejects.toSatisfy((error) => isKind(error, 'not-found'));
      expect(await locations(store.walk())).toEqual([]);
      expect(await locations(store.ingests())).toEqual(['a/b']);

      await writer.commit();
      expect(await store.stat('a/b')).toEqual({ size: 11 });
      expect(await collect(await store.open('a/b'))).toBe('hello world');
      expect(await locations(store.walk())).toEqual(['a/b']);
      expect(await locations(store.ingests())).toEqual([]);
    });

    it('goes on with a write that was closed, also elsewhere', async () => {
      await using made = await create();
      const first = await made.store.writer('a/b');
      await first.write(bytes('hello '));
      await first.close();
      const second = await made.reopen().writer('a/b');
      expect(second.offset).toBe(6);
      expect(await collect(second.read())).toBe('hello ');
      await second.write(bytes('world'));
      expect(await collect(second.read())).toBe('hello world');
      await second.commit();
      expect(await collect(await made.store.open('a/b'))).toBe('hello world');
    });

    it('drops what was aborted', async () => {
      await using made = await create();
      const writer = await made.store.writer('a');
      await writer.write(bytes('x'));
      await writer.abort();
      expect(await locations(made.store.ingests())).toEqual([]);
      await using again = await made.store.writer('a');
      expect(again.offset).toBe(0);
    });

    it('keeps content of no bytes', async () => {
      await using made = await create();
      const writer = await made.store.writer('empty');
      await writer.commit();
      expect(await made.store.stat('empty')).toEqual({ size: 0 });
      expect(await collect(await made.store.open('empty'))).toBe('');
    });

    it.each([
      [0, 0, 'h'],
      [1, 3, 'ell'],
      [6, 10, 'world'],
      [6, 99, 'world'],
    ])('reads bytes %d to %d', async (start, end, expected) => {
      await using made = await create();
      await put(made.store, 'a', 'hello world');
      const reader = await made.store.open('a', { start, end });
      expect(reader.size).toBe(11);
      expect(await collect(reader)).toBe(expected);
      const passed: string[] = [];
      await (await made.store.open('a', { start, end })).each(async (chunk) => {
        passed.push(Buffer.from(chunk).toString());
      });
      expect(passed.join('')).toBe(expected);
    });

    it('reads what is larger than its buffers, both ways', async () => {
      await using made = await create();
      const written = Buffer.alloc(3_500_001).map((_, index) => (index * 7 + (index >> 9)) & 255);
      await using writer = await made.store.writer('large');
      for (let at = 0; at < written.length; at += 70_000)
        await writer.write(written.subarray(at, at + 70_000));
      await writer.commit();

      const iterated: Uint8Array[] = [];
      for await (const chunk of await made.store.open('large')) iterated.push(chunk);
      expect(Buffer.concat(iterated).equals(written)).toBe(true);

      const handed: Uint8Array[] = [];
      const reader = await made.store.open('large', { start: 1, end: written.length - 2 });
      await reader.each(async (chunk) => {
        await new Promise((resolve) => setImmediate(resolve));
        handed.push(Buffer.from(chunk));
      });
      expect(Buffer.concat(handed).equals(written.subarray(1, -1))).toBe(true);
    });

    it('ends a read that its consumer leaves or breaks', async () => {
      await using made = await create();
      await put(made.store, 'a', 'x'.repeat(2_000_000));
      for await (const _ of await made.store.open('a')) break;
      const failed = (await made.store.open('a')).each(() => Promise.reject(new Error('enough')));
      await expect(failed).rejects.toThrow('enough');
      const unread = await made.store.open('a');
      await unread[Symbol.asyncIterator]().return?.();
    });

    it('deletes content and writes, and does not mind their absence', async () => {
      await using made = await create();
      const { store } = made;
      await put(store, 'a/1', 'x');
      const open = await store.writer('a/2');
      await open.write(bytes('x'));
      await open.close();
      for (const location of ['a/1', 'a/2', 'a/3']) await store.delete(location);
      expect(await locations(store.walk())).toEqual([]);
      expect(await locations(store.ingests())).toEqual([]);
    });

    it('walks what is below a prefix', async () => {
      await using made = await create();
      for (const location of ['a/1', 'a/b/2', 'ab/3']) await put(made.store, location, location);
      expect(await locations(made.store.walk('a'))).toEqual(['a/1', 'a/b/2']);
      expect(await locations(made.store.walk('none'))).toEqual([]);
      for await (const entry of made.store.walk('ab')) {
        expect(entry).toMatchObject({ location: 'ab/3', size: 4 });
        expect(entry.modifiedAt.getTime()).toBeGreaterThan(Date.now() - 60_000);
      }
    });

    it.each(['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', 'a/./b', 'a\0b', 'a b', 'é', '1/2/3/4/5/6/7/8/9'])(
      'refuses the location %j',
      async (location) => {
        await using made = await create();
        const refused = (error: unknown) => isKind(error, 'invalid');
        await expect(made.store.writer(location)).rejects.toSatisfy(refused);
        await expect(made.store.open(location)).rejects.toSatisfy(refused);
        await expect(made.store.stat(location)).rejects.toSatisfy(refused);
        await expect(made.store.delete(location)).rejects.toSatisfy(refused);
      },
    );
  });
}

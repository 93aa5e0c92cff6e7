import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ContentStore } from '#content/content-store.ts';
import { isKind } from '#errors/errors.ts';

/** A store for one test; disposing removes what it kept. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: ContentStore;
  /** A second instance over the same content, as another process would have it; the same one if there is none. */
  reopen(): ContentStore;
}

const MIB = 2 ** 20;

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

/** Writes with a writer of its own, which is closed. */
async function append(
  store: ContentStore,
  location: string,
  chunk: Uint8Array,
  close: { whole?: boolean } = {},
): Promise<void> {
  await using writer = await store.writer(location);
  await writer.write(chunk);
  await writer.close(close);
}

/** Bytes that differ everywhere, so that none can be missed, doubled or moved unnoticed. */
function pattern(length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4)).map((_, index) => Math.imul(index, 2654435761));
  return Buffer.from(words.buffer, 0, length);
}

async function digestAt(store: ContentStore, location: string): Promise<string> {
  return await hashed(await store.open(location));
}

async function hashed(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

const digestOf = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

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

      await writer.commit();
      expect(await store.stat('a/b')).toEqual({ size: 11 });
      expect(await collect(await store.open('a/b'))).toBe('hello world');
      expect(await locations(store.walk())).toEqual(['a/b']);
      expect(await locations(store.ingests())).toEqual([]);
    });

    it('goes on with small writes of which each was to be the whole, also elsewhere', async () => {
      await using made = await create();
      await append(made.store, 'a', bytes('hello '), { whole: true });
      await append(made.reopen(), 'a', bytes('wide '), { whole: true });
      await append(made.reopen(), 'a', bytes('world'), { whole: true });
      const writer = await made.reopen().writer('a');
      expect(writer.offset).toBe(16);
      expect(await collect(writer.read())).toBe('hello wide world');
      await writer.commit();
      expect(await collect(await made.store.open('a'))).toBe('hello wide world');
      expect(await locations(made.store.ingests())).toEqual([]);
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

    it('lists a write that was closed, with its size, until it ends', async () => {
      await using made = await create();
      const { store } = made;
      for (const location of ['a/1', 'a/2', 'b']) await append(store, location, bytes('hello'));
      expect(await locations(made.reopen().ingests())).toEqual(['a/1', 'a/2', 'b']);
      for await (const ingest of store.ingests()) {
        expect(ingest.size).toBe(5);
        expect(Math.abs(ingest.modifiedAt.getTime() - Date.now())).toBeLessThan(60_000);
      }
      await (await store.writer('a/1')).commit();
      await (await store.writer('b')).abort();
      expect(await locations(store.ingests())).toEqual(['a/2']);
      expect(await locations(store.walk())).toEqual(['a/1']);
    });

    it('looks at a write without changing it', async () => {
      await using made = await create();
      await append(made.store, 'a', bytes('hello'));
      for (const store of [made.store, made.reopen()]) {
        await using writer = await store.writer('a');
        expect(writer.offset).toBe(5);
      }
      await using nothing = await made.store.writer('b');
      expect(nothing.offset).toBe(0);
      await nothing.close();
      expect(await locations(made.store.ingests())).toContain('a');
    });

    it.each([0, 1, 5 * MIB - 1, 5 * MIB, 11 * MIB + 3])(
      'commits %d bytes that were closed as whole, elsewhere',
      async (length) => {
        await using made = await create();
        const data = pattern(length);
        await append(made.store, 'a', data, { whole: true });
        expect(await made.store.stat('a')).toBeUndefined();
        const other = made.reopen();
        const writer = await other.writer('a');
        expect(writer.offset).toBe(length);
        await writer.commit();
        expect(await other.stat('a')).toEqual({ size: length });
        expect(await digestAt(made.store, 'a')).toBe(digestOf(data));
        expect(await locations(other.ingests())).toEqual([]);
      },
    );

    it.each([3, 6 * MIB + 1, 14 * MIB])(
      'takes more than the %d bytes that were the whole',
      async (length) => {
        await using made = await create();
        const data = pattern(length + 7 * MIB);
        await append(made.store, 'a', data.subarray(0, length), { whole: true });
        await append(made.reopen(), 'a', data.subarray(length, length + 10));
        await append(made.store, 'a', data.subarray(length + 10), { whole: true });
        expect(await made.store.stat('a')).toBeUndefined();
        const writer = await made.reopen().writer('a');
        expect(writer.offset).toBe(data.length);
        await writer.commit();
        expect(await digestAt(made.store, 'a')).toBe(digestOf(data));
        expect(await locations(made.store.ingests())).toEqual([]);
      },
    );

    it.each([10, 700_000, 4 * MIB, 9 * MIB])(
      'puts chunks of %d bytes together, each written elsewhere',
      async (size) => {
        await using made = await create();
        const data = pattern(size * (size > MIB ? 3 : 20));
        for (let at = 0, turn = 0; at < data.length; at += size, turn++)
          await append(turn % 2 === 0 ? made.store : made.reopen(), 'a', data.subarray(at, at + size));
        const writer = await made.store.writer('a');
        expect(writer.offset).toBe(data.length);
        await writer.commit();
        expect(await digestAt(made.store, 'a')).toBe(digestOf(data));
        expect(await locations(made.store.ingests())).toEqual([]);
      },
    );

    it.each([true, false])(
      'reads back a large write, goes on with it and reads it again (whole: %s)',
      async (whole) => {
        await using made = await create();
        const data = pattern(13 * MIB);
        const cut = 6 * MIB + 17;
        await append(made.store, 'a', data.subarray(0, cut), { whole });
        const writer = await made.reopen().writer('a');
        expect(await hashed(writer.read())).toBe(digestOf(data.subarray(0, cut)));
        expect(await locations(made.store.walk())).toEqual([]);
        expect(await locations(made.store.ingests())).toEqual(['a']);
        await writer.close();

        const next = await made.reopen().writer('a');
        expect(next.offset).toBe(cut);
        await next.write(data.subarray(cut));
        expect(await hashed(next.read())).toBe(digestOf(data));
        await next.commit();
        expect(await digestAt(made.store, 'a')).toBe(digestOf(data));
        expect(await locations(made.store.ingests())).toEqual([]);
      },
    );

    it('deletes a write that was read back', async () => {
      await using made = await create();
      await append(made.store, 'a', pattern(6 * MIB), { whole: true });
      const writer = await made.reopen().writer('a');
      await hashed(writer.read());
      await writer.close();
      await made.store.delete('a');
      expect(await made.store.stat('a')).toBeUndefined();
      expect(await locations(made.store.ingests())).toEqual([]);
    });

    it('takes bytes one by one', async () => {
      await using made = await create();
      const data = pattern(100_003);
      await using writer = await made.store.writer('a');
      for (let at = 0; at < data.length; at++) await writer.write(Buffer.from(data.subarray(at, at + 1)));
      await writer.commit();
      expect(await digestAt(made.store, 'a')).toBe(digestOf(data));
    });

    it('writes several at once', async () => {
      await using made = await create();
      const data = pattern(12 * MIB);
      const names = ['a', 'b', 'c', 'd'];
      const writing = names.map(async (name, index) => {
        await using writer = await made.store.writer(name);
        for (let at = index; at < data.length; at += MIB) await writer.write(data.subarray(at, at + MIB));
        await writer.commit();
      });
      await Promise.all(writing);
      for (const [index, name] of names.entries())
        expect(await digestAt(made.store, name)).toBe(digestOf(data.subarray(index)));
    });

    it('gives a URL for what it has, or none', async () => {
      await using made = await create();
      await put(made.store, 'a/b', 'hello world');
      const url = await made.store.link('a/b');
      if (url === undefined) return;
      expect(await (await fetch(url)).text()).toBe('hello world');
      const part = await fetch(url, { headers: { Range: 'bytes=6-' } });
      expect([part.status, await part.text()]).toEqual([206, 'world']);
      const other = new URL(url);
      other.pathname = other.pathname.replace('a/b', 'a/c');
      expect((await fetch(other)).status).toBe(403);
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
        await expect(made.store.link(location)).rejects.toSatisfy(refused);
      },
    );
  });
}

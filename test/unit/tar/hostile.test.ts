import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlipwayError } from '#errors/errors.ts';
import { decodeText, encodeText } from '#tar/byte-text.ts';
import { TarParser } from '#tar/parser.ts';
import { formatPaxTime, parsePaxTime } from '#tar/pax.ts';
import { readTar } from '#tar/reader.ts';
import { safePath } from '#tar/safe-path.ts';
import { packed, pieces, unpacked } from './tar-bytes.ts';

describe('a broken archive', () => {
  it('is refused when it is cut short, wherever that is', async () => {
    const archive = await packed([
      { path: 'p'.repeat(200), content: 'x'.repeat(700) },
      { path: 'b', content: 'y' },
    ]);
    const whole = archive.length - 1024;
    const lastPadding = 511;
    for (let length = 1; length < whole - lastPadding; length += 37) {
      const cut = archive.subarray(0, length);
      // A cut between two entries cannot be told from the end.
      const entries = await unpacked(cut).then(
        (files) => files.length,
        () => 'refused',
      );
      expect(['refused', 1]).toContain(entries);
    }
    expect(await unpacked(archive.subarray(0, whole))).toHaveLength(2);
    // As the docker CLI sends its context with a Dockerfile from outside of it.
    expect(await unpacked(archive.subarray(0, whole - lastPadding))).toHaveLength(2);
  });

  it('is refused when a header was altered', async () => {
    const archive = await packed([{ path: 'file', content: 'x' }]);
    for (const offset of [0, 50, 100, 130, 150, 160, 300]) {
      const altered = Buffer.from(archive);
      altered[offset] = altered[offset]! ^ 0x15;
      await expect(unpacked(altered)).rejects.toMatchObject({ name: 'SlipwayError' });
    }
  });

  it('only ever fails with a typed error', async () => {
    const valid = await packed([
      { path: 'p'.repeat(120), content: 'x'.repeat(600), xattrs: new Map([['user.a', Buffer.from('b')]]) },
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        async (edits) => {
          const altered = Buffer.from(valid);
          for (const [offset, byte] of edits) altered[offset] = byte;
          await unpacked(altered, 300).catch((error) => expect(error).toBeInstanceOf(SlipwayError));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('may not have more entries, or larger extensions, than allowed', async () => {
    const archive = await packed([{ path: 'a' }, { path: 'b' }, { path: 'c' }]);
    const nothing = { entry: () => {}, data: () => {}, end: () => {} };
    expect(() => new TarParser(nothing, { maxEntries: 2 }).write(archive)).toThrow('more than 2 entries');
    const long = await packed([{ path: 'x'.repeat(5000) }]);
    expect(() => new TarParser(nothing, { maxExtensionBytes: 1024 }).write(long)).toThrow('too large');
  });
});

describe('a reader', () => {
  it('skips what its caller leaves unread', async () => {
    const archive = await packed([
      { path: 'a', content: 'x'.repeat(100_000) },
      { path: 'b', content: 'second' },
    ]);
    const seen: string[] = [];
    for await (const { entry, body } of readTar(pieces(archive, 1000))) {
      for await (const chunk of body) {
        seen.push(`${entry.path}${chunk.length > 0}`);
        break;
      }
    }
    expect(seen).toEqual(['atrue', 'btrue']);
  });
});

describe('a path', () => {
  it.each([
    ['a/b', 'a/b'],
    ['./a//b/', 'a/b'],
    ['/etc/passwd', 'etc/passwd'],
    ['a/../b', 'b'],
    ['./', ''],
    ['.', ''],
    ['..a/...', '..a/...'],
  ])('%s is %s below the root', (path, safe) => expect(safePath(path)).toBe(safe));

  it.each(['..', '../a', 'a/../../b', '/../etc', 'a\0b', 'x'.repeat(5000)])('%j is refused', (path) =>
    expect(() => safePath(path)).toThrow(SlipwayError),
  );

  it('never leads out', () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'b', '...');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 10 }), (parts) => {
        try {
          expect(safePath(parts.join('/')).split('/')).not.toContain('..');
        } catch (error) {
          expect(error).toBeInstanceOf(SlipwayError);
        }
      }),
    );
  });
});

describe('a PAX time', () => {
  it('is what it was after writing and reading', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1e12, max: 1e12 }),
        fc.integer({ min: 0, max: 999_999_999 }),
        (seconds, nanoseconds) => {
          expect(parsePaxTime(formatPaxTime(seconds, nanoseconds))).toEqual({ seconds, nanoseconds });
        },
      ),
    );
  });
});

describe('a name', () => {
  it('of any bytes is the same bytes again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(encodeText(decodeText(Buffer.from(bytes)))).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 1000 },
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TarEntry, TarEntryType } from '#tar/entry.ts';
import { writeTar } from '#tar/writer.ts';
import { collect, unpacked } from './tar-bytes.ts';

const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 90 })
  .map((text) => text.replace(/[\0/]/g, '_'));
const path = fc.array(name, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
const type = fc.constantFrom<TarEntryType>(
  'file',
  'hardlink',
  'symlink',
  'character',
  'block',
  'directory',
  'fifo',
);
const xattrs = fc.dictionary(fc.stringMatching(/^user\.[a-z]{1,20}$/), fc.uint8Array({ maxLength: 200 }), {
  maxKeys: 3,
  noNullPrototype: true,
});

const file = fc.record({
  path,
  type,
  linkPath: path,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.constant(4_294_967_294)),
  gid: fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.constant(4_294_967_294)),
  mtime: fc.oneof(fc.integer({ min: -(2 ** 33), max: 2 ** 34 }), fc.constant(0)),
  mtimeNanoseconds: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 999_999_999 })),
  deviceMajor: fc.integer({ min: 0, max: 4095 }),
  deviceMinor: fc.integer({ min: 0, max: 1_048_575 }),
  userName: fc.constantFrom('', 'root'),
  groupName: fc.constantFrom('', 'wheel'),
  xattrs,
  content: fc.uint8Array({ maxLength: 3000 }),
});

describe('an archive that was written', () => {
  it('is read back the same, however it is cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(file, { maxLength: 6 }),
        fc.integer({ min: 1, max: 2000 }),
        async (files, chunk) => {
          const inputs = files.map(({ content, ...fields }) => {
            const body = fields.type === 'file' ? content : new Uint8Array();
            const entry: TarEntry = {
              ...fields,
              xattrs: new Map(Object.entries(fields.xattrs)),
              size: body.length,
            };
            return { entry, body: [body] };
          });
          const archive = await collect(writeTar(inputs));
          const read = await unpacked(archive, chunk);
          expect(read.map(comparable)).toEqual(
            inputs.map(({ entry, body }) => comparable({ entry, content: Buffer.concat(body) })),
          );
          expect(archive.length % 512).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('is the same bytes for the same entries', async () => {
    const entry: TarEntry = {
      path: 'a'.repeat(300),
      type: 'file',
      mode: 0o755,
      uid: 1,
      gid: 2,
      size: 0,
      mtime: 5,
      xattrs: new Map([
        ['user.b', Buffer.from('2')],
        ['user.a', Buffer.from('1')],
      ]),
    };
    const other = { ...entry, xattrs: new Map([...entry.xattrs!].reverse()) };
    expect(await collect(writeTar([{ entry }]))).toEqual(await collect(writeTar([{ entry: other }])));
  });

  it('refuses content that is not as long as its entry says', async () => {
    const entry: TarEntry = { path: 'a', type: 'file', mode: 0, uid: 0, gid: 0, size: 3, mtime: 0 };
    await expect(collect(writeTar([{ entry, body: [Buffer.from('ab')] }]))).rejects.toThrow(RangeError);
    await expect(collect(writeTar([{ entry, body: [Buffer.from('abcd')] }]))).rejects.toThrow(RangeError);
  });
});

function comparable({ entry, content }: { entry: TarEntry; content: Buffer }) {
  return {
    ...entry,
    // A directory's slash is how it is written, and links are all that have a target.
    path: entry.path.replace(/\/$/, ''),
    mtimeNanoseconds: entry.mtimeNanoseconds ?? 0,
    xattrs: Object.fromEntries(
      [...(entry.xattrs ?? [])].map(([key, value]) => [key, Buffer.from(value).toString('hex')]),
    ),
    content: content.toString('hex'),
  };
}

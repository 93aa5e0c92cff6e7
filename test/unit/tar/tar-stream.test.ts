import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { extract, type Header, pack } from 'tar-stream';
import { expect, it } from 'vitest';
import type { TarEntry } from '#tar/entry.ts';
import { packed, unpacked } from './tar-bytes.ts';

// A second opinion, from a library with an implementation of its own.

const path = fc
  .array(fc.stringMatching(/^[a-zA-Z0-9_äß€-]{1,60}$/), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join('/'));
const file = fc.record({
  path,
  type: fc.constantFrom('file', 'symlink', 'directory'),
  // tar-stream takes 0 for "not given".
  mode: fc.integer({ min: 1, max: 0o777 }),
  // It has six octal digits for these, and garbles more.
  uid: fc.integer({ min: 0, max: 0o777777 }),
  gid: fc.integer({ min: 0, max: 0o777777 }),
  // It writes later times with 32 bits.
  mtime: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  linkPath: path,
  content: fc.uint8Array({ maxLength: 2000 }),
});
type File = typeof file extends fc.Arbitrary<infer T> ? T : never;

const withoutSlash = (name: string) => name.replace(/\/$/, '');

function asEntry({
  content,
  linkPath,
  type,
  ...fields
}: File): Partial<TarEntry> & { path: string; content: Buffer } {
  return {
    ...fields,
    type: type as TarEntry['type'],
    content: type === 'file' ? Buffer.from(content) : Buffer.alloc(0),
    ...(type === 'symlink' && { linkPath }),
  };
}

/** What both sides say of a file, in the same words. */
function facts(file: File) {
  return {
    path: file.path,
    type: file.type,
    mode: file.mode,
    uid: file.uid,
    gid: file.gid,
    mtime: file.mtime,
    link: file.type === 'symlink' ? file.linkPath : '',
    content: Buffer.from(file.type === 'file' ? file.content : []).toString('hex'),
  };
}

it('tar-stream reads what we write', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(file, { maxLength: 5 }), async (files) => {
      const read: unknown[] = [];
      for await (const entry of Readable.from([await packed(files.map(asEntry))]).pipe(extract())) {
        const { header } = entry as unknown as { header: Header };
        read.push({
          path: withoutSlash(header.name),
          type: header.type,
          mode: header.mode,
          uid: header.uid,
          gid: header.gid,
          mtime: Math.floor(header.mtime!.getTime() / 1000),
          link: header.linkname ?? '',
          content: (await buffer(entry)).toString('hex'),
        });
      }
      expect(read).toEqual(files.map(facts));
    }),
    { numRuns: 60 },
  );
});

it('we read what tar-stream writes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(file, { maxLength: 5 }),
      fc.integer({ min: 1, max: 1500 }),
      async (files, chunk) => {
        const archive = pack();
        for (const { path: name, type, linkPath, content, mtime, ...fields } of files) {
          const header = { ...fields, name, mtime: new Date(mtime * 1000), type: type as Header['type'] };
          if (type === 'file') archive.entry(header, Buffer.from(content));
          else archive.entry({ ...header, ...(type === 'symlink' && { linkname: linkPath }) });
        }
        archive.finalize();
        const read = await unpacked(await buffer(archive), chunk);
        expect(
          read.map(({ entry, content }) => ({
            path: withoutSlash(entry.path),
            type: entry.type,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            link: entry.linkPath ?? '',
            content: content.toString('hex'),
          })),
        ).toEqual(files.map(facts));
      },
    ),
    { numRuns: 60 },
  );
});

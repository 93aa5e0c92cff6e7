import { describe, expect, it } from 'vitest';
import type { TarEntry } from '#tar/entry.ts';
import { readTar } from '#tar/reader.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';
import { rewriteTimes } from '#worker/build/export/rewrite-times.ts';

const EPOCH = new Date('2020-01-01T00:00:00Z');
const SECONDS = EPOCH.getTime() / 1000;
const owned = { uid: 1, gid: 2, mode: 0o640 };

const inputs: TarInput[] = [
  {
    entry: { ...owned, path: 'old', type: 'file', size: 3, mtime: SECONDS - 10 },
    body: [Buffer.from('abc')],
  },
  {
    entry: { ...owned, path: 'new', type: 'file', size: 600, mtime: SECONDS + 10 },
    body: [Buffer.alloc(600, 1)],
  },
  { entry: { ...owned, path: 'dir', type: 'directory', size: 0, mtime: SECONDS + 10 } },
  {
    entry: {
      ...owned,
      path: 'fraction',
      type: 'symlink',
      linkPath: 'x',
      size: 0,
      mtime: SECONDS,
      mtimeNanoseconds: 5,
    },
  },
  {
    entry: {
      ...owned,
      path: `${'long/'.repeat(60)}file`,
      type: 'file',
      size: 0,
      mtime: SECONDS + 1,
      xattrs: new Map([['user.a', Buffer.from('b')]]),
    },
  },
];

async function read(tar: AsyncIterable<Uint8Array>) {
  const found: { entry: TarEntry; content: string }[] = [];
  for await (const { entry, body } of readTar(tar)) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(Buffer.from(chunk));
    found.push({ entry, content: Buffer.concat(chunks).toString('latin1') });
  }
  return found;
}

async function bytes(tar: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

describe('a layer whose times are rewritten', () => {
  it('has no file that is younger, and is the same otherwise', async () => {
    const before = await read(writeTar(inputs));
    const after = await read(rewriteTimes(writeTar(inputs), EPOCH));
    expect(after.map(({ entry }) => entry.mtime)).toEqual([SECONDS - 10, SECONDS, SECONDS, SECONDS, SECONDS]);
    const timeless = ({
      entry: { mtime: _, mtimeNanoseconds: __, ...entry },
      content,
    }: (typeof before)[0]) => ({
      entry,
      content,
    });
    expect(after.map(timeless)).toEqual(before.map(timeless));
    expect(after[3]!.entry.mtimeNanoseconds ?? 0).toBe(0);
  });

  it('is the same from two builds at different times', async () => {
    const later = inputs.map(({ entry, ...rest }) => ({
      ...rest,
      entry: entry.mtime > SECONDS ? { ...entry, mtime: entry.mtime + 1000 } : entry,
    }));
    const [one, other] = await Promise.all(
      [inputs, later].map((files) => bytes(rewriteTimes(writeTar(files), EPOCH))),
    );
    expect(one!.equals(other!)).toBe(true);
  });
});

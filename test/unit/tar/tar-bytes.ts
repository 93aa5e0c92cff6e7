import type { TarEntry } from '#tar/entry.ts';
import { readTar } from '#tar/reader.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';

/** A file of an archive, held whole. */
export interface WholeFile {
  readonly entry: TarEntry;
  readonly content: Buffer;
}

export const PLAIN = { mode: 0o644, uid: 0, gid: 0, mtime: 0, size: 0 } as const;

/** An archive in memory; sizes are taken from the contents. */
export async function packed(
  files: readonly (Partial<TarEntry> & { path: string; content?: string | Buffer })[],
): Promise<Buffer> {
  const inputs: TarInput[] = files.map(({ content, ...entry }) => {
    const body = Buffer.from((content ?? '') as Buffer);
    return { entry: { ...PLAIN, type: 'file', ...entry, size: body.length }, body: [body] };
  });
  return collect(writeTar(inputs));
}

/** Reads an archive that arrives in pieces of `chunkSize` bytes. */
export async function unpacked(archive: Buffer, chunkSize = archive.length || 1): Promise<WholeFile[]> {
  const files: WholeFile[] = [];
  for await (const { entry, body } of readTar(pieces(archive, chunkSize))) {
    files.push({ entry, content: await collect(body) });
  }
  return files;
}

export async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

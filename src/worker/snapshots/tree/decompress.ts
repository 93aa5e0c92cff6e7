import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { invalid, messageOf } from '#errors/errors.ts';
import { throughProgram } from './decompress-program.ts';

const CHUNK_BYTES = 256 * 1024;

/**
 * A tar's bytes, whatever it is compressed with: gzip, zstd, xz or bzip2, told by their first bytes, or nothing.
 * Throws `invalid` for broken streams, `unsupported` where the program for xz or bzip2 is missing.
 */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(source, 6);
  const kind = compressionOf(head);
  if (kind === 'none') {
    yield* all;
    return;
  }
  if (kind === 'xz' || kind === 'bzip2') {
    yield* throughProgram(kind, all);
    return;
  }
  const options = { chunkSize: CHUNK_BYTES };
  const inflate = kind === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
  const input = Readable.from(all, { objectMode: false, highWaterMark: CHUNK_BYTES });
  input.on('error', (error) => inflate.destroy(error));
  input.pipe(inflate);
  try {
    yield* inflate as AsyncIterable<Buffer>;
  } catch (cause) {
    if (!isZlibError(cause)) throw cause;
    throw invalid(`broken ${kind} stream: ${messageOf(cause)}`, { cause });
  } finally {
    input.destroy();
    inflate.destroy();
  }
}

type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

const MAGIC: readonly [Compression, number[]][] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

export function compressionOf(head: Uint8Array): Compression {
  for (const [kind, magic] of MAGIC) {
    if (magic.every((byte, i) => head[i] === byte)) return kind;
  }
  return 'none';
}

/** Reads at least `bytes` ahead; `all` begins with them again. */
async function peek(
  source: AsyncIterable<Uint8Array>,
  bytes: number,
): Promise<{ head: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < bytes) {
    const next = await iterator.next();
    if (next.done) break;
    chunks.push(next.value);
    size += next.value.length;
  }
  const head = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  return { head, all: resume(head, iterator) };
}

async function* resume(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (head.length > 0) yield head;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

function isZlibError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(Z_|ZSTD_|ERR_)/.test(String(error.code));
}

import { tooLarge, unsupported } from '#errors/errors.ts';
import type { TarEntry } from '#tar/entry.ts';
import { BLOCK_SIZE } from '#tar/entry.ts';
import { decodeHeader } from '#tar/header.ts';
import { TarParser, type TarSink } from '#tar/parser.ts';
import { safePath, splitParent } from '#tar/safe-path.ts';
import { decompress } from '#worker/snapshots/tree/decompress.ts';
import { LayerUnpacker } from '#worker/snapshots/tree/layer-unpacker.ts';
import { WHITEOUT_PREFIX } from '#worker/snapshots/tree/overlay-marks.ts';
import type { FileTree } from './file-tree.ts';
import type { Owner } from './rooted-directory.ts';

const CHUNK_BYTES = 256 * 1024;

export interface UnpackOptions {
  /** Mounted root file system. */
  readonly root: string;
  /** Where in it, a clean path. */
  readonly directory: string;
  /** In place of the archive's owners. */
  readonly owner?: Owner;
  /** Of what it unpacks to. */
  readonly maxBytes?: number;
  readonly maxEntries?: number;
}

/** Whether a file is a tar archive, compressed or not: ADD goes by the content, not by the name. */
export async function isArchive(tree: FileTree, path: string): Promise<boolean> {
  try {
    const head = Buffer.concat(await firstBytes(decompress(contentOf(tree, path)), BLOCK_SIZE));
    return head.length >= BLOCK_SIZE && decodeHeader(head.subarray(0, BLOCK_SIZE)) !== undefined;
  } catch (error) {
    if (looksLikeTar(path)) throw error;
    return false;
  }
}

/** Unpacks an archive as tar would that is chrooted into the root file system. */
export async function unpackArchive(tree: FileTree, path: string, options: UnpackOptions): Promise<void> {
  const unpacker = new LayerUnpacker(options.root);
  const { maxBytes = Number.POSITIVE_INFINITY, maxEntries } = options;
  const parser = new TarParser(
    new Relocated(unpacker, options),
    maxEntries === undefined ? {} : { maxEntries },
  );
  let bytes = 0;
  try {
    for await (const chunk of decompress(contentOf(tree, path))) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(`${path} is larger than ${maxBytes} bytes when unpacked`);
      parser.write(chunk);
    }
    parser.finish();
    unpacker.finish();
  } finally {
    unpacker.close();
  }
}

/** Moves an archive's entries below a directory, and gives them an owner. */
class Relocated implements TarSink {
  readonly #sink: TarSink;
  readonly #options: UnpackOptions;

  constructor(sink: TarSink, options: UnpackOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  entry(entry: TarEntry): void {
    if (splitParent(safePath(entry.path))[1].startsWith(WHITEOUT_PREFIX)) {
      throw unsupported(
        `cannot unpack ${JSON.stringify(entry.path)}: its name is a layer's mark for a deletion`,
      );
    }
    this.#sink.entry({
      ...entry,
      ...this.#options.owner,
      path: this.#moved(entry.path),
      ...(entry.type === 'hardlink' && { linkPath: this.#moved(entry.linkPath ?? '') }),
    });
  }

  data(bytes: Uint8Array): void {
    this.#sink.data(bytes);
  }

  end(): void {
    this.#sink.end();
  }

  #moved(path: string): string {
    return [this.#options.directory, safePath(path)].filter(Boolean).join('/');
  }
}

async function* contentOf(tree: FileTree, path: string): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; ) {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const bytes = tree.read(path, buffer, offset);
    if (bytes === 0) return;
    yield buffer.subarray(0, bytes);
    offset += bytes;
  }
}

async function firstBytes(source: AsyncIterable<Uint8Array>, wanted: number): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= wanted) break;
  }
  return chunks;
}

function looksLikeTar(path: string): boolean {
  return /\.(?:tar(?:\.[a-z0-9]+)?|t[gbx]z\d?|txz|tzst)$/i.test(path);
}

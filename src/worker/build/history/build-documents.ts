import { randomUUID } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { notFound } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, Digester } from '#oci/digest.ts';
import type { DocumentRow, HistoryRepository } from './history-repository.ts';

/** What a document is, before its bytes are known. */
export type DocumentKind = Pick<Descriptor, 'mediaType' | 'annotations'>;

/** The documents that are kept with builds, found by digest. One file holds those of a build; it never changes. */
export class BuildDocuments {
  readonly #rows: HistoryRepository;
  readonly #directory: string;

  constructor(ports: { rows: HistoryRepository }, directory: string) {
    this.#rows = ports.rows;
    this.#directory = directory;
  }

  writer(): DocumentsWriter {
    const file = `${randomUUID()}.documents`;
    return new DocumentsWriter(join(this.#directory, file), file);
  }

  /** Every digest once, with its size. */
  list(): Promise<{ digest: Digest; size: number }[]> {
    return this.#rows.listDocuments();
  }

  /** undefined: no build has it. `end` is exclusive. */
  async open(
    digest: string,
    range: { readonly start: number; readonly end?: number } = { start: 0 },
  ): Promise<(AsyncIterable<Uint8Array> & { readonly size: number }) | undefined> {
    const row = await this.#rows.findDocument(digest);
    if (!row) return undefined;
    const start = Math.min(range.start, row.size);
    const end = Math.min(range.end ?? row.size, row.size);
    const path = join(this.#directory, row.file);
    return {
      size: row.size,
      [Symbol.asyncIterator]: () => readPart(path, row.position + start, row.position + end),
    };
  }
}

async function* readPart(path: string, start: number, end: number): AsyncGenerator<Uint8Array> {
  if (start >= end) return;
  await using file = await open(path).catch((cause) => {
    throw notFound('the build that the content was of is not kept any more', { cause });
  });
  yield* file.createReadStream({ start, end: end - 1, autoClose: false });
}

/** What is gathered before it is written: a build's log is told in pieces of some hundred bytes. */
const PIECE_BYTES = 64 * 1024;

/** Writes documents one after the other into a file. All of them are there after `flush`. */
export class DocumentsWriter implements AsyncDisposable {
  readonly file: string;
  readonly #path: string;
  readonly #rows = new Map<Digest, Omit<DocumentRow, 'ref'>>();
  #handle: FileHandle | undefined;
  #gathered: Uint8Array[] = [];
  #length = 0;
  #written = 0;

  constructor(path: string, file: string) {
    this.#path = path;
    this.file = file;
  }

  get rows(): Omit<DocumentRow, 'ref'>[] {
    return [...this.#rows.values()];
  }

  async add(
    kind: DocumentKind,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<Descriptor> {
    const digester = new Digester();
    const position = this.#length;
    for await (const chunk of chunks) {
      digester.update(chunk);
      this.#gathered.push(chunk);
      this.#length += chunk.length;
      if (this.#length - this.#written >= PIECE_BYTES) await this.flush();
    }
    const digest = digester.digest();
    const size = this.#length - position;
    // The same again takes no place.
    if (this.#rows.has(digest)) this.#back(position);
    else this.#rows.set(digest, { digest, file: this.file, position, size });
    return { ...kind, digest, size };
  }

  async flush(): Promise<void> {
    if (this.#gathered.length === 0) return;
    const bytes = Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#handle ??= await open(this.#path, 'wx', 0o600);
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at, this.#written);
      at += bytesWritten;
      this.#written += bytesWritten;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** Nothing of what was added from there on is kept. */
  #back(position: number): void {
    while (this.#length > Math.max(position, this.#written)) this.#length -= this.#gathered.pop()!.length;
    this.#length = position;
    this.#written = Math.min(this.#written, position);
  }
}

import type { Operations } from '#observability/operations.ts';
import type { ContentReader, ContentStore, ContentWriter, WriterOptions } from './content-store.ts';

/** Any content store, with its calls measured. */
export class ObservedContentStore implements ContentStore {
  readonly #content: ContentStore;
  readonly #operations: Operations;

  constructor(content: ContentStore, operations: Operations) {
    this.#content = content;
    this.#operations = operations;
  }

  get minimumChunk(): number | undefined {
    return this.#content.minimumChunk;
  }

  async writer(location: string, options?: WriterOptions): Promise<ContentWriter> {
    const writer = await this.#operations.run('begin', () => this.#content.writer(location, options));
    return new ObservedContentWriter(writer, this.#operations);
  }

  open(location: string, range?: { start: number; end: number }): Promise<ContentReader> {
    return this.#operations.run('open', () => this.#content.open(location, range));
  }

  stat(location: string): Promise<{ size: number } | undefined> {
    return this.#operations.run('stat', () => this.#content.stat(location));
  }

  link(location: string): Promise<string | undefined> {
    return this.#content.link(location);
  }

  delete(location: string): Promise<void> {
    return this.#operations.run('delete', () => this.#content.delete(location));
  }

  walk(prefix?: string) {
    return this.#content.walk(prefix);
  }

  ingests() {
    return this.#content.ingests();
  }
}

class ObservedContentWriter implements ContentWriter {
  readonly #writer: ContentWriter;
  readonly #operations: Operations;

  constructor(writer: ContentWriter, operations: Operations) {
    this.#writer = writer;
    this.#operations = operations;
  }

  get offset(): number {
    return this.#writer.offset;
  }

  /** Most of them only copy: what takes long is seen in `commit` and `close`, and in the request. */
  write(chunk: Uint8Array): Promise<void> {
    return this.#writer.write(chunk);
  }

  read(): AsyncIterable<Uint8Array> {
    return this.#writer.read();
  }

  commit(): Promise<void> {
    return this.#operations.run('commit', () => this.#writer.commit());
  }

  abort(): Promise<void> {
    return this.#operations.run('abort', () => this.#writer.abort());
  }

  close(options?: { whole?: boolean }): Promise<void> {
    return this.#operations.run('close', () => this.#writer.close(options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer[Symbol.asyncDispose]();
  }
}

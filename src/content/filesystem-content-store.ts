import { opendir, open as openFile, stat, unlink } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { notFound, systemCode } from '#errors/errors.ts';
import type { ContentReader, ContentStore, ContentWriter, WriterOptions } from './content-store.ts';
import { DurableDirectories } from './durable-directories.ts';
import { FilesystemContentReader } from './filesystem-content-reader.ts';
import { FilesystemContentWriter } from './filesystem-content-writer.ts';
import { locationSegments } from './location.ts';

/**
 * Content on a local disk:
 *
 *     <root>/content/<location>   committed
 *     <root>/ingest/<location>    being written
 *
 * One file system holds both, so that a commit is: sync the file, rename it, sync the directory.
 */
export class FilesystemContentStore implements ContentStore {
  readonly minimumChunk = undefined;
  readonly #content: string;
  readonly #ingest: string;
  readonly #directories: DurableDirectories;

  constructor(root: string) {
    this.#content = join(root, 'content');
    this.#ingest = join(root, 'ingest');
    this.#directories = new DurableDirectories(root);
  }

  async writer(location: string, { patient = false }: WriterOptions = {}): Promise<ContentWriter> {
    const segments = locationSegments(location);
    return await FilesystemContentWriter.open({
      path: join(this.#ingest, ...segments),
      target: join(this.#content, ...segments),
      directories: this.#directories,
      patient,
    });
  }

  async open(location: string, range?: { start: number; end: number }): Promise<ContentReader> {
    const path = this.#contentPath(location);
    const file = await openFile(path).catch((error: unknown) => {
      throw isMissing(error) ? notFound(`no content at ${location}`, { cause: error }) : error;
    });
    return await FilesystemContentReader.over(file, range);
  }

  async stat(location: string): Promise<{ size: number } | undefined> {
    try {
      const { size } = await stat(this.#contentPath(location));
      return { size };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async link(location: string): Promise<undefined> {
    locationSegments(location);
  }

  async delete(location: string): Promise<void> {
    const segments = locationSegments(location);
    await unlinkIfThere(join(this.#content, ...segments));
    await unlinkIfThere(join(this.#ingest, ...segments));
  }

  async *walk(prefix?: string) {
    const from = prefix === undefined ? [] : locationSegments(prefix);
    yield* filesBelow(join(this.#content, ...from), prefix === undefined ? '' : `${prefix}/`);
  }

  async *ingests() {
    yield* filesBelow(this.#ingest, '');
  }

  #contentPath(location: string): string {
    return join(this.#content, ...locationSegments(location));
  }
}

async function* filesBelow(
  directory: string,
  prefix: string,
): AsyncGenerator<{ location: string; size: number; modifiedAt: Date }> {
  const entries = await opendir(directory).catch(ignoreMissing);
  if (!entries) return;
  for await (const entry of entries) {
    const path = directory + sep + entry.name;
    if (entry.isDirectory()) yield* filesBelow(path, `${prefix}${entry.name}/`);
    else if (entry.isFile()) {
      const found = await stat(path).catch(ignoreMissing);
      if (found) yield { location: prefix + entry.name, size: found.size, modifiedAt: found.mtime };
    }
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch(ignoreMissing);
}

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

function isMissing(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

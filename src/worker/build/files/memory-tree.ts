import type { FileNode, FileTree } from './file-tree.ts';

export interface MemoryFile {
  readonly name: string;
  readonly content: string;
}

const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

/** The files that a COPY's heredocs write, side by side. */
export class MemoryTree implements FileTree {
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #mtime = Math.floor(Date.now() / 1000);

  constructor(files: readonly MemoryFile[]) {
    this.#files = new Map(files.map(({ name, content }) => [name, Buffer.from(content)]));
  }

  node(path: string): FileNode | undefined {
    const content = this.#files.get(path);
    if (path !== '' && !content) return undefined;
    return {
      type: path === '' ? 'directory' : 'file',
      mode: path === '' ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      size: content?.length ?? 0,
      mtime: this.#mtime,
      mtimeNanoseconds: 0,
    };
  }

  names(path: string): string[] {
    return path === '' ? [...this.#files.keys()].sort() : [];
  }

  xattrs(): ReadonlyMap<string, Uint8Array> {
    return NO_XATTRS;
  }

  read(path: string, buffer: Uint8Array, offset: number): number {
    const bytes = this.#files.get(path)?.subarray(offset, offset + buffer.length) ?? new Uint8Array();
    buffer.set(bytes);
    return bytes.length;
  }
}

import { createHash, hash } from 'node:crypto';
import { closeSync, constants, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';
import type { ArchivedFile } from './archive-updater.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;
const COPY_BYTES = 1024 * 1024;

/** One that is not there. */
export class NewFile implements ArchivedFile {
  readonly #hash = createHash('sha256');
  #fd: number | undefined;

  constructor(path: string, mode: number) {
    this.#fd = openSync(systemPath(path), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode);
  }

  data(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    for (let offset = 0; offset < bytes.length; ) {
      offset += writeSync(this.#fd!, bytes, offset, bytes.length - offset);
    }
  }

  finish(): { content: string; changed: boolean } {
    this.close();
    return { content: this.#hash.digest('hex'), changed: true };
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** One of the same size is there; `content` is what that one has, `mode` what this one is to have. */
interface Before {
  readonly content: string;
  readonly mode: number;
}

/** Is in memory until it is known whether it has changed. */
export class SmallFile implements ArchivedFile {
  readonly #path: string;
  readonly #before: Before;
  readonly #pieces: Uint8Array[] = [];

  constructor(path: string, before: Before) {
    this.#path = path;
    this.#before = before;
  }

  data(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
  }

  finish(): { content: string; changed: boolean } {
    const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    const content = hash('sha256', bytes, 'hex');
    if (content === this.#before.content) return { content, changed: false };
    using file = replace(this.#path, this.#before.mode);
    file.body.data(bytes);
    return file.body.finish();
  }

  close(): void {}
}

/** Is compared with what is there, for as long as both are the same. */
export class ComparedFile implements ArchivedFile {
  readonly #path: string;
  readonly #before: Before;
  readonly #buffer = Buffer.allocUnsafe(COPY_BYTES);
  #fd: number | undefined;
  #same = 0;
  #other: NewFile | undefined;

  constructor(path: string, before: Before) {
    this.#path = path;
    this.#before = before;
    this.#fd = openSync(systemPath(path), O_RDONLY | O_NOFOLLOW);
  }

  data(bytes: Uint8Array): void {
    let rest = bytes;
    while (!this.#other && rest.length > 0) {
      const piece = rest.subarray(0, COPY_BYTES);
      if (!this.#isNext(piece)) {
        this.#part();
      } else {
        this.#same += piece.length;
        rest = rest.subarray(piece.length);
      }
    }
    this.#other?.data(rest);
  }

  finish(): { content: string; changed: boolean } {
    if (this.#other) return this.#other.finish();
    this.close();
    return { content: this.#before.content, changed: false };
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#other?.close();
  }

  #isNext(piece: Uint8Array): boolean {
    const there = this.#buffer.subarray(0, piece.length);
    for (let read = 0; read < there.length; ) {
      const bytes = readSync(this.#fd!, there, read, there.length - read, this.#same + read);
      if (bytes === 0) return false;
      read += bytes;
    }
    return there.equals(piece);
  }

  /** A new file takes its place, with what both have in common. */
  #part(): void {
    const fd = this.#fd!;
    const { body } = replace(this.#path, this.#before.mode);
    this.#other = body;
    for (let at = 0; at < this.#same; ) {
      const bytes = readSync(fd, this.#buffer, 0, Math.min(COPY_BYTES, this.#same - at), at);
      body.data(this.#buffer.subarray(0, bytes));
      at += bytes;
    }
    closeSync(fd);
    this.#fd = undefined;
  }
}

/** Not written over: whoever has the old one open, or linked to it, keeps it. */
function replace(path: string, mode: number): { readonly body: NewFile } & Disposable {
  rmSync(systemPath(path));
  const body = new NewFile(path, mode);
  return { body, [Symbol.dispose]: () => body.close() };
}

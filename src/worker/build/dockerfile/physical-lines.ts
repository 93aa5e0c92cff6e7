import { DockerfileError } from './dockerfile-error.ts';
import { linesOf } from './ranges.ts';
import { trimEndOf, trimStart } from './spaces.ts';

/** In bytes, without the line's end: what BuildKit's scanner takes. */
const MAX_LINE = 65_535;

/** The lines of a file, one by one, each with its line end. A byte order mark is passed over. */
export class PhysicalLines {
  readonly #text: string;
  #at: number;
  #read = 0;

  constructor(text: string) {
    this.#text = text;
    this.#at = text.startsWith('\uFEFF') ? 1 : 0;
  }

  /** How many lines were read: the number, from 1, of the last one. */
  get read(): number {
    return this.#read;
  }

  /** Throws `DockerfileError` for a line that is too long. */
  next(): string | undefined {
    if (this.#at >= this.#text.length) return undefined;
    const end = this.#text.indexOf('\n', this.#at);
    const line = this.#text.slice(this.#at, end < 0 ? undefined : end + 1);
    this.#at += line.length;
    this.#read++;
    const bytes = line.length * 3 > MAX_LINE ? Buffer.byteLength(line) - (end < 0 ? 0 : 1) : 0;
    if (bytes > MAX_LINE) {
      throw new DockerfileError(
        `dockerfile line greater than max allowed size of ${MAX_LINE}`,
        linesOf(this.#read),
      );
    }
    return line;
  }
}

export function withoutLineEnd(line: string): string {
  return trimEndOf(line, '\r\n');
}

export function isEmpty(line: string): boolean {
  return trimStart(line) === '';
}

import type { Range } from '../llb/source-info.ts';
import { trimStart } from './spaces.ts';

interface Piece {
  /** Where in the joined text it begins. */
  readonly offset: number;
  readonly line: number;
  /** Where in its line it begins. */
  readonly character: number;
}

/** The text of lines that continue each other, and where each part of it stands in the file. */
export class LogicalText {
  readonly #parts: string[] = [];
  readonly #pieces: Piece[] = [];
  #length = 0;
  #text: string | undefined;

  add(text: string, line: number, character: number): void {
    this.#pieces.push({ offset: this.#length, line, character });
    this.#parts.push(text);
    this.#length += text.length;
    this.#text = undefined;
  }

  get text(): string {
    this.#text ??= this.#parts.join('');
    return this.#text;
  }

  /** From the trimmed text's offset `start` to before its offset `end`. */
  rangeOf(start: number, end: number): Range {
    const trimmed = this.#length - trimStart(this.text).length;
    const last = this.#position(trimmed + Math.max(end - 1, start));
    return {
      start: this.#position(trimmed + start),
      end: { ...last, character: last.character + 1 },
    };
  }

  #position(offset: number): Range['start'] {
    let [low, high] = [0, this.#pieces.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#pieces[middle]!.offset <= offset) low = middle;
      else high = middle - 1;
    }
    const { offset: from, line, character } = this.#pieces[low]!;
    return { line, character: character + offset - from };
  }
}

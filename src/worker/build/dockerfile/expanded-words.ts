import { isSpace } from './spaces.ts';

/** Collects an expansion's text as words: white space parts them where it was not quoted. */
export class ExpandedWords {
  readonly #words: string[] = [];
  #word = '';

  /** Text that belongs to a word with all the white space it has. */
  text(text: string): void {
    this.#word += text;
  }

  splitText(text: string): void {
    for (const char of text) {
      if (!isSpace(char)) this.#word += char;
      else this.#end();
    }
  }

  finish(): readonly string[] {
    this.#end();
    return this.#words;
  }

  #end(): void {
    if (this.#word !== '') this.#words.push(this.#word);
    this.#word = '';
  }
}

import { invalid } from '#errors/errors.ts';

const DEFAULT_KEYS = 'ctrl-p,ctrl-q';
const CONTROL: Readonly<Record<string, number>> = { '@': 0, '[': 27, '\\': 28, ']': 29, '^': 30, _: 31 };

/** `ctrl-p,ctrl-q` and the like as the bytes that a terminal sends. Throws `invalid`. */
export function parseDetachKeys(text: string | undefined): Uint8Array {
  return Uint8Array.from((text || DEFAULT_KEYS).split(','), (key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const letter = /^ctrl-(.)$/.exec(key.toLowerCase())?.[1];
    if (letter !== undefined && letter >= 'a' && letter <= 'z') return letter.charCodeAt(0) - 96;
    const code = letter === undefined ? undefined : CONTROL[letter];
    if (code === undefined) throw invalid(`Invalid detach keys (${text}) provided`);
    return code;
  });
}

/** Looks for the detach sequence in what a terminal's user types, and keeps it from the container. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** What of `chunk` (and of an earlier, unfinished sequence) is input; `detached` when the sequence is complete. */
  scan(chunk: Uint8Array): { input: Uint8Array; detached: boolean } {
    const input: number[] = [];
    for (const byte of chunk) {
      if (byte !== this.#keys[this.#matched] && this.#matched > 0) {
        input.push(...this.#keys.subarray(0, this.#matched));
        this.#matched = 0;
      }
      if (byte !== this.#keys[this.#matched]) input.push(byte);
      else if (++this.#matched === this.#keys.length)
        return { input: Uint8Array.from(input), detached: true };
    }
    return { input: Uint8Array.from(input), detached: false };
  }
}

import { tooMany } from '#errors/errors.ts';

/** Memory that requests share whose bodies are read whole: many senders at once must not take what there is. */
export class BodyMemory {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Throws `too-many` when that much is not left. The caller gives it back. */
  take(bytes: number): void {
    if (bytes > this.#left) throw tooMany('too many bodies are being sent at once');
    this.#left -= bytes;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

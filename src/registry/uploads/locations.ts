import { randomInt, randomUUID } from 'node:crypto';

/** How much goes into a folder before it is the turn of another one. */
const TURN = 1000;

/**
 * Names for content that is about to be stored. They are spread over 256 folders, as a directory with a million names is
 * slow to walk and to sync; those that follow each other share one, so that what is pushed at the same time shares the
 * sync of its directory.
 */
export class Locations {
  #folder = '';
  #left = 0;

  next(): string {
    if (this.#left-- === 0) {
      this.#folder = randomInt(256).toString(16).padStart(2, '0');
      this.#left = TURN - 1;
    }
    return `uploads/${this.#folder}/${randomUUID()}`;
  }
}

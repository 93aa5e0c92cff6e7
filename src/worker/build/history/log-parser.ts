import { invalid } from '#errors/errors.ts';
import { type BuildEvent, decodeEvent } from './build-events.ts';

/** An event of a log. */
export interface ToldEvent {
  readonly told: BuildEvent;
  /** Where in the log the next one begins, in bytes. */
  readonly next: number;
}

export interface ReadOptions {
  /** Where an event begins; 0 unless said otherwise. */
  readonly from?: number;
  /** Go on with what is told later. */
  readonly follow?: boolean;
  readonly signal: AbortSignal;
}

const LINE_FEED = 0x0a;

/** Takes the bytes of a log apart, from a place on where an event begins. Lines that are not whole are left out. */
export class LogParser {
  /** Where to read from: with the end of the line before, to see that it is one. */
  readonly start: number;
  readonly #from: number;
  #rest: Buffer[] = [];
  #next: number;

  constructor(from: number) {
    this.#from = from;
    this.start = Math.max(0, from - 1);
    this.#next = this.start;
  }

  /** Throws `invalid` when no event begins where it was to start. */
  *push(bytes: Buffer): Generator<ToldEvent> {
    let begin = 0;
    if (this.#next < this.#from) {
      if (bytes[0] !== LINE_FEED) throw this.misplaced();
      this.#next++;
      begin = 1;
    }
    for (let end = bytes.indexOf(LINE_FEED, begin); end >= 0; end = bytes.indexOf(LINE_FEED, begin)) {
      const line = Buffer.concat([...this.#rest, bytes.subarray(begin, end)]);
      this.#rest = [];
      this.#next += line.length + 1;
      begin = end + 1;
      yield { told: decodeEvent(line.toString()), next: this.#next };
    }
    if (begin < bytes.length) this.#rest.push(bytes.subarray(begin));
  }

  misplaced(): Error {
    return invalid(`${this.#from} is no place in this log`);
  }
}

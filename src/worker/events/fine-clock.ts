/** Milliseconds that the clock may be away from what was counted on since it was last looked at. */
const SLACK = 5;
/** Set back by so much, it has been corrected; less is the clock of the kernel being slowed down. */
const CORRECTED = 1_000;
/** A double holds nanoseconds since 1970 to a quarter of a microsecond. */
const GRAIN = 512;

/** The clock of the machine in microseconds, and as its corrections have it: Node's own fine one only knows when it began. */
export class FineClock {
  #origin = Date.now() - performance.now();
  #last = 0;

  /** Nanoseconds since 1970, more with each call unless the clock is set back. */
  now(): number {
    const now = Date.now();
    const off = this.#origin + performance.now() - now;
    if (Math.abs(off) > SLACK) {
      this.#origin -= off;
      if (off > CORRECTED) this.#last = 0;
    }
    const micros = Math.round((this.#origin + performance.now()) * 1000);
    this.#last = Math.max(this.#last + GRAIN, micros * 1000);
    return this.#last;
  }
}

import { hash } from 'node:crypto';

/** So many in so many milliseconds, and that many at once; at most ten in a millisecond. */
export interface Rate {
  readonly count: number;
  readonly period: number;
}

/** What came of a request to take one. */
export interface Taken {
  readonly allowed: boolean;
  /** How many more there are at once. */
  readonly remaining: number;
  /** Milliseconds until there is one more; 0 when there is. */
  readonly wait: number;
}

/** Entries a key may be at: as many as are next to each other in a cache line. */
const WAYS = 8;
const DAY = 86_400_000;
const TAG_BITS = 16n;
const TIME_BITS = 48n;
const TIME_MASK = (1n << TIME_BITS) - 1n;
/** Steps of time a millisecond: fine enough for ten thousand a second, and 48 bits of them last for 34 years. */
const STEPS = 256;

/**
 * Token buckets for any number of keys in memory that does not grow, and that threads may share. A bucket is one number:
 * when it will be full again ("theoretical arrival time", the generic cell rate algorithm of ITU-T I.371), next to some
 * bits of its key's hash. A bucket that is full need not be kept; where all places for a key are taken, the one that
 * will be full the soonest goes. The hash is keyed with a secret: nobody can choose keys that meet.
 */
export class SharedBuckets {
  /** What another thread makes its own `SharedBuckets` of. */
  readonly memory: SharedArrayBuffer;
  readonly #entries: BigUint64Array;
  /** The first entry is none: it holds the secret, the second when time began. */
  readonly #secret: string;
  readonly #epoch: number;
  readonly #sets: bigint;

  /** Without memory of another one: new ones with room for `size` keys at a time. */
  constructor(options: { size: number } | { memory: SharedArrayBuffer }) {
    if ('memory' in options) this.memory = options.memory;
    else {
      const sets = Math.max(1, Math.ceil(options.size / WAYS));
      this.memory = new SharedArrayBuffer((sets + 1) * WAYS * BigUint64Array.BYTES_PER_ELEMENT);
      const entries = new BigUint64Array(this.memory);
      crypto.getRandomValues(new Uint8Array(16)).forEach((byte, index) => {
        new Uint8Array(this.memory)[index] = byte;
      });
      // A clock that is set back must not stop before time began.
      entries[2] = BigInt(Date.now() - DAY);
    }
    this.#entries = new BigUint64Array(this.memory);
    this.#secret = `${this.#entries[0]}-${this.#entries[1]}:`;
    this.#epoch = Number(this.#entries[2]);
    this.#sets = BigInt(this.#entries.length / WAYS - 1);
  }

  /** Takes one from the bucket of this key, if there is one. `now` in milliseconds since 1970. */
  take(key: string, rate: Rate, now: number = Date.now()): Taken {
    const digest = BigInt(`0x${hash('sha256', this.#secret + key).slice(0, 16)}`);
    const tag = digest >> (64n - TAG_BITS);
    const first = (Number(digest % this.#sets) + 1) * WAYS;
    const at = Math.max(0, now - this.#epoch) * STEPS;
    const each = Math.max(1, Math.round((rate.period * STEPS) / rate.count));
    for (;;) {
      const [index, before] = this.#find(first, tag);
      const full = before >> TIME_BITS === tag ? Number(before & TIME_MASK) : 0;
      const next = Math.max(full, at) + each;
      const room = each * rate.count - (next - at);
      if (room < 0) return { allowed: false, remaining: 0, wait: Math.ceil(-room / STEPS) };
      const after = (tag << TIME_BITS) | (BigInt(next) & TIME_MASK);
      if (Atomics.compareExchange(this.#entries, index, before, after) === before) {
        return { allowed: true, remaining: Math.floor(room / each), wait: 0 };
      }
    }
  }

  /** Where the key's bucket is, or is to be, and what is there. */
  #find(first: number, tag: bigint): [index: number, value: bigint] {
    let [soonest, value] = [first, Atomics.load(this.#entries, first)];
    for (let index = first; index < first + WAYS; index++) {
      const entry = Atomics.load(this.#entries, index);
      if (entry !== 0n && entry >> TIME_BITS === tag) return [index, entry];
      if ((entry & TIME_MASK) < (value & TIME_MASK)) [soonest, value] = [index, entry];
    }
    return [soonest, value];
  }
}

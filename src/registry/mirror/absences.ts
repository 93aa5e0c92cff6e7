/** Remembers for a while what is not there, so that asking again costs nobody anything. Bounded; the oldest goes first. */
export class Absences {
  readonly #life: number;
  readonly #limit: number;
  readonly #until = new Map<string, number>();

  /** `life` in milliseconds. */
  constructor(options: { life: number; limit: number }) {
    this.#life = options.life;
    this.#limit = options.limit;
  }

  add(key: string): void {
    this.#until.delete(key);
    this.#until.set(key, Date.now() + this.#life);
    if (this.#until.size <= this.#limit) return;
    const [oldest] = this.#until.keys();
    if (oldest !== undefined) this.#until.delete(oldest);
  }

  has(key: string): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (until > Date.now()) return true;
    this.#until.delete(key);
    return false;
  }
}

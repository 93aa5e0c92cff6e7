import { invalid } from '#errors/errors.ts';

/** No command could be started with more; and a hostile Dockerfile could make every RUN carry them all. */
const MAX_VARIABLES = 5000;

/** Variables of a stage, in the order that they were last set in, which is how a process gets them. */
export class Environment {
  readonly #entries: Map<string, string>;
  #array: readonly string[] | undefined;

  constructor(other?: Environment) {
    this.#entries = new Map(other ? other.#entries : []);
  }

  get(name: string): string | undefined {
    return this.#entries.get(name)?.slice(name.length + 1);
  }

  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** One that was set before moves to the end. Throws `invalid` for too many. */
  set(name: string, value: string): void {
    this.#entries.delete(name);
    if (this.#entries.size >= MAX_VARIABLES) throw invalid(`more than ${MAX_VARIABLES} variables are set`);
    this.#entries.set(name, `${name}=${value}`);
    this.#array = undefined;
  }

  delete(name: string): void {
    if (this.#entries.delete(name)) this.#array = undefined;
  }

  /** `NAME=value`. */
  toArray(): readonly string[] {
    this.#array ??= [...this.#entries.values()];
    return this.#array;
  }
}

/** `NAME=value` taken apart; without `=` the value is empty. */
export function splitVariable(text: string): [name: string, value: string] {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}

/** Something for each combination of label values that occurs, found again without making anything. */
export class Labelled<L extends string, T> {
  readonly #names: readonly L[];
  readonly #make: () => T;
  readonly #found = new Map<string, { readonly labels: Readonly<Record<L, string>>; readonly value: T }>();

  constructor(names: readonly L[], make: () => T) {
    this.#names = names;
    this.#make = make;
    // Without labels there is one, from the start.
    if (names.length === 0) this.of({} as Record<L, string>);
  }

  of(labels: Readonly<Record<L, string>>): T {
    let key = '';
    // No label has a line break in it: its values are ours.
    for (const name of this.#names) key += `${labels[name]}\n`;
    const found = this.#found.get(key);
    if (found) return found.value;
    const value = this.#make();
    const own = Object.fromEntries(this.#names.map((name) => [name, labels[name]]));
    this.#found.set(key, { labels: own as Record<L, string>, value });
    return value;
  }

  all() {
    return this.#found.values();
  }
}

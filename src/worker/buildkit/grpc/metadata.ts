/** The custom headers of a call; a name may have several values. */
export class Metadata {
  readonly #values = new Map<string, string[]>();

  /** From `[name, value, name, value …]`, which is how Node keeps repeated headers apart. */
  static fromRaw(raw: readonly string[]): Metadata {
    const metadata = new Metadata();
    for (let at = 0; at + 1 < raw.length; at += 2) {
      if (!raw[at]!.startsWith(':')) metadata.add(raw[at]!, raw[at + 1]!);
    }
    return metadata;
  }

  add(name: string, ...values: string[]): this {
    const key = name.toLowerCase();
    this.#values.set(key, [...(this.#values.get(key) ?? []), ...values]);
    return this;
  }

  /** The first value. */
  get(name: string): string | undefined {
    return this.#values.get(name.toLowerCase())?.[0];
  }

  all(name: string): readonly string[] {
    return this.#values.get(name.toLowerCase()) ?? [];
  }

  toHeaders(): Record<string, string[]> {
    return Object.fromEntries(this.#values);
  }
}

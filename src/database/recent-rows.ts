import type { CompiledQuery } from 'kysely';

/** What all kept rows may take, and those of one query, in bytes or so. */
const MAX_SIZE = 8 * 1024 * 1024;
const MAX_SIZE_EACH = MAX_SIZE / 32;
/** What a row takes beside its values. */
const ROW_SIZE = 200;

/** What queries found, kept as long as the database has the version that it was found in. Kept rows are frozen. */
export class RecentRows {
  readonly #found = new Map<string, Map<string, unknown[]>>();
  #version: number | undefined;
  #size = 0;

  /** Forgets what was found in another version than this. */
  keepOnlyOf(version: number): void {
    if (version !== this.#version) this.#forget();
    this.#version = version;
  }

  /** The rows that a query found, or else `find` does. */
  rows<R>(query: CompiledQuery<R>, find: () => R[]): R[] {
    const { sql, parameters } = query;
    const key = keyOf(parameters);
    if (key === undefined) return find();
    const before = this.#found.get(sql)?.get(key);
    if (before) return before as R[];
    const rows = find();
    const size = sizeOf(rows) + key.length;
    if (size > MAX_SIZE_EACH) return rows;
    if (this.#size + size > MAX_SIZE) this.#forget();
    this.#size += size;
    for (const row of rows) Object.freeze(row);
    const found = this.#found.get(sql) ?? new Map<string, unknown[]>();
    this.#found.set(sql, found.set(key, Object.freeze(rows) as R[]));
    return rows;
  }

  #forget(): void {
    this.#found.clear();
    this.#size = 0;
  }
}

/** Undefined for parameters that cannot be told apart by their text. */
function keyOf(parameters: readonly unknown[]): string | undefined {
  const plain = parameters.every((it) => typeof it === 'string' || typeof it === 'number');
  return plain ? JSON.stringify(parameters) : undefined;
}

function sizeOf(rows: readonly unknown[]): number {
  let size = ROW_SIZE;
  for (const row of rows) {
    size += ROW_SIZE;
    for (const value of Object.values(row as object)) {
      if (typeof value === 'string') size += value.length;
      else if (value instanceof Uint8Array) size += value.length;
    }
  }
  return size;
}

import { digestOf } from '#oci/digest.ts';
import type { LocalCache } from '../cache/local-cache.ts';

/**
 * Which steps that change nothing but the configuration were done before. They cost nothing and leave nothing behind, but
 * are told of as of any other step: `Using cache`.
 */
export class ConfigMarks {
  readonly #cache: Pick<LocalCache, 'find' | 'save'>;
  readonly #fresh = new Set<string>();

  constructor(ports: { cache: Pick<LocalCache, 'find' | 'save'> }) {
    this.#cache = ports.cache;
  }

  /** `id`: what the step has come to. It is known the next time, once `keep` was called. */
  async known(id: string): Promise<boolean> {
    const key = keyOf(id);
    const known = (await this.#cache.find([key])).has(key);
    if (!known) this.#fresh.add(key);
    return known;
  }

  async keep(): Promise<void> {
    if (this.#fresh.size === 0) return;
    const kept = await this.#cache.save({
      keys: [...this.#fresh],
      kind: 'config',
      description: `configuration (${this.#fresh.size} steps)`,
      inputs: [],
      outputs: [],
      createdAt: new Date(),
    });
    await kept.release();
    this.#fresh.clear();
  }
}

function keyOf(id: string): string {
  return digestOf(`classic configuration ${id}`);
}

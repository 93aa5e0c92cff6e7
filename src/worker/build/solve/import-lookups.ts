import type { ImportedCache, ImportedRecord } from '../cache/portable/imported-cache.ts';
import { ImportedSteps } from '../cache/portable/imported-steps.ts';
import type { CacheMap } from './op-driver.ts';
import type { VertexNode } from './vertex-node.ts';

export interface ImportLookupsParts {
  map(node: VertexNode): Promise<CacheMap>;
  /** Resolves when contents that nothing else identifies are known. */
  definition(node: VertexNode): Promise<unknown>;
  track<T>(node: VertexNode, task: () => Promise<T>): Promise<T>;
}

/** Looks the vertices of one build up in the caches that it was told of. */
export class ImportLookups {
  readonly #parts: ImportLookupsParts;
  readonly #steps = new ImportedSteps();

  constructor(parts: ImportLookupsParts) {
    this.#parts = parts;
  }

  add(cache: ImportedCache): void {
    this.#steps.add(cache);
  }

  /** To be called from the sources up: none calls itself as deep as the graph is. */
  begin(node: VertexNode): void {
    if (!this.#steps.active || node.placed) return;
    node.placed = this.#parts.track(node, async () => {
      await this.#parts.definition(node);
      await Promise.all(node.inputs.map((input) => input.node.placed));
      await this.#place(node);
    });
    node.placed.catch(() => undefined);
  }

  /** By what made the vertex, and by what is known by now of its inputs' contents. */
  async find(node: VertexNode): Promise<ImportedRecord | undefined> {
    if (!node.placed) return undefined;
    await node.placed;
    await this.#place(node);
    return this.#steps.find(node);
  }

  async #place(node: VertexNode): Promise<void> {
    await this.#steps.place(node, await this.#parts.map(node), await contentsOf(node));
  }
}

/** The digests of what a vertex reads of its inputs, as far as they were asked for. */
export async function contentsOf({ contents }: VertexNode): Promise<ReadonlyMap<number, string>> {
  const known = [...contents].map(
    async ([slot, digest]) => [Number.parseInt(slot, 10), await digest] as const,
  );
  return new Map(await Promise.all(known));
}

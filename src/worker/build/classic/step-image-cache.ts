import type { Digest } from '#oci/digest.ts';
import type { ImageRemover } from '#worker/images/remove/image-remover.ts';
import type { StepImageRepository, StepImageRow } from '#worker/images/step-image-repository.ts';
import type { CacheContents, CacheUsage } from '../cache/cache-contents.ts';

export interface StepImageCachePorts {
  readonly steps: Pick<StepImageRepository, 'all'>;
  readonly remover: Pick<ImageRemover, 'removeStep'>;
}

/**
 * What steps of classic builds leave, to be held to the limits of the cache: layers stay as long as an image has them. An
 * image that others were built on was used when they were, and goes after them.
 */
export class StepImageCache implements CacheContents {
  readonly #ports: StepImageCachePorts;

  constructor(ports: StepImageCachePorts) {
    this.#ports = ports;
  }

  /** Those on top first: where times are equal they go in this order. */
  async usage(): Promise<CacheUsage[]> {
    const rows = await this.#ports.steps.all();
    const tree = new UsedTree(rows);
    const bytes = ownBytes(tree.topFirst.toReversed());
    return tree.topFirst.map((row) => ({
      id: row.id,
      type: 'regular',
      kind: 'image',
      description: 'image of a step',
      bytes: bytes.get(row.id) ?? 0,
      createdAt: row.createdAt,
      usageCount: 0,
      ...tree.use(row),
    }));
  }

  remove(id: string): Promise<number | undefined> {
    return this.#ports.remover.removeStep(id as Digest);
  }
}

/** Each layer counts for the lowest image that has it. */
function ownBytes(lowestFirst: readonly StepImageRow[]): ReadonlyMap<string, number> {
  const counted = new Set<string>();
  return new Map(
    lowestFirst.map(({ id, layers }) => {
      const own = layers.filter(({ chainId }) => !counted.has(chainId));
      for (const { chainId } of own) counted.add(chainId);
      return [id, own.reduce((sum, layer) => sum + layer.bytes, 0)];
    }),
  );
}

type Use = Pick<CacheUsage, 'inUse' | 'lastUsedAt'>;

/** How images are used, with those that stand on them. */
class UsedTree {
  readonly #children: ReadonlyMap<string | undefined, readonly StepImageRow[]>;
  readonly #known = new Map<StepImageRow, Use>();

  constructor(rows: readonly StepImageRow[]) {
    this.#children = Map.groupBy(rows, ({ parent }) => parent);
    for (const row of rows) this.use(row);
  }

  get topFirst(): readonly StepImageRow[] {
    return [...this.#known.keys()];
  }

  use(row: StepImageRow): Use {
    const known = this.#known.get(row);
    if (known) return known;
    const above = (this.#children.get(row.id) ?? []).map((child) => this.use(child));
    const use = {
      inUse: row.inUse || above.some(({ inUse }) => inUse),
      lastUsedAt: new Date(
        Math.max(row.usedAt.getTime(), ...above.map(({ lastUsedAt }) => lastUsedAt.getTime())),
      ),
    };
    this.#known.set(row, use);
    return use;
  }
}

import { unsupported } from '#errors/errors.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { CacheMap, OpContext, OpDriver } from '../../solve/op-driver.ts';
import type { Ref } from '../../solve/ref.ts';

/** Brings files of one scheme. */
export interface Source {
  readonly schemes: readonly string[];
  cacheMap(vertex: Vertex<SourceOp>, context: OpContext): Promise<CacheMap>;
  run(vertex: Vertex<SourceOp>, context: OpContext): Promise<Ref>;
}

/** Hands source ops to whom their scheme belongs to. */
export class SourceDriver implements OpDriver<SourceOp> {
  readonly #sources: ReadonlyMap<string, Source>;

  constructor(sources: readonly Source[]) {
    this.#sources = new Map(sources.flatMap((source) => source.schemes.map((scheme) => [scheme, source])));
  }

  cacheMap(vertex: Vertex<SourceOp>, context: OpContext): Promise<CacheMap> {
    return this.#sourceOf(vertex).cacheMap(vertex, context);
  }

  async run(vertex: Vertex<SourceOp>, _inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    return [await this.#sourceOf(vertex).run(vertex, context)];
  }

  #sourceOf({ op: { identifier } }: Vertex<SourceOp>): Source {
    const [scheme = ''] = identifier.split('://', 1);
    const source = this.#sources.get(scheme);
    if (!source) throw unsupported(`unknown scheme ${scheme}: not found`);
    return source;
  }
}

/** What follows the scheme. */
export function locationOf({ op: { identifier } }: Vertex<SourceOp>): string {
  return identifier.slice(identifier.indexOf('://') + 3);
}

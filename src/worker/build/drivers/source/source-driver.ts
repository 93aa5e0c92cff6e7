import { unsupported } from '#errors/errors.ts';
import type { Platform } from '#oci/platform.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { SourceMeta, WantedMeta } from '../../policy/source-meta.ts';
import type { BuildSession } from '../../session/build-session.ts';
import type { CacheMap, OpContext, OpDriver } from '../../solve/op-driver.ts';
import type { Ref } from '../../solve/ref.ts';

/** Brings files of one scheme. */
export interface Source {
  readonly schemes: readonly string[];
  cacheMap(vertex: Vertex<SourceOp>, context: OpContext): Promise<CacheMap>;
  run(vertex: Vertex<SourceOp>, context: OpContext): Promise<Ref>;
  /** What it stands for, where that can be known without its files. Throws as `cacheMap`. */
  describe?(source: SourceOp, wanted: WantedMeta, context: DescribeContext): Promise<Description>;
}

/** What can be said of a source, beside which it is. */
export type Description = Omit<SourceMeta, 'source'>;

export interface DescribeContext {
  readonly platform: Platform | undefined;
  readonly session: BuildSession;
  readonly signal: AbortSignal;
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

  /** Within a session it is what the source will stand for when it is built on. */
  async describe(source: SourceOp, wanted: WantedMeta, context: DescribeContext): Promise<SourceMeta> {
    const described = await this.#sourceOf({ op: source }).describe?.(source, wanted, context);
    return { source, ...described };
  }

  #sourceOf({ op: { identifier } }: Pick<Vertex<SourceOp>, 'op'>): Source {
    const [scheme = ''] = identifier.split('://', 1);
    const source = this.#sources.get(scheme);
    if (!source) throw unsupported(`unknown scheme ${scheme}: not found`);
    return source;
  }
}

/** What follows the scheme. */
export function locationOf({ op: { identifier } }: Pick<Vertex<SourceOp>, 'op'>): string {
  return identifier.slice(identifier.indexOf('://') + 3);
}

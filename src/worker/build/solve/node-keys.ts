import { SlipwayError } from '#errors/errors.ts';
import type { Vertex } from '../llb/vertex.ts';
import { cacheKey } from './identity.ts';
import type { MissedStep } from './missed-step.ts';
import type { CacheMap, OpContext, OpDriver } from './op-driver.ts';
import { outputOf, type Realized, type VertexNode } from './vertex-node.ts';

/** What keys are made of. */
export interface KeyParts {
  map(node: VertexNode): Promise<CacheMap>;
  realize(node: VertexNode): Promise<Realized>;
  drive<T>(vertex: Vertex, task: (driver: OpDriver, context: OpContext) => Promise<T>): Promise<T>;
  track<T>(node: VertexNode, task: () => Promise<T>): Promise<T>;
  /** Hears of each definition key that may be looked up. */
  known(key: string): void;
}

type Resolve = (input: VertexNode) => Promise<{ identities: readonly string[] }>;

/** The keys that the vertices of a build are looked up by. */
export class NodeKeys {
  readonly #parts: KeyParts;

  constructor(parts: KeyParts) {
    this.#parts = parts;
  }

  /** By what made it, inputs included; of sources that only their contents identify, those. */
  definition(node: VertexNode): Promise<string> {
    node.definition ??= this.#parts.track(node, async () => {
      const map = await this.#parts.map(node);
      const inputs = node.inputs.map(async (input, at) => {
        const { opaque } = await this.#parts.map(input.node);
        if (opaque) return this.#input(node, at, (below) => this.#parts.realize(below));
        const { selector = '' } = map.inputs[at] ?? {};
        return `${await this.definition(input.node)}:${input.output} ${selector}`;
      });
      const key = cacheKey('definition', map.digest, await Promise.all(inputs));
      if (!node.renewed && node.inputs.length > 0) this.#parts.known(key);
      return key;
    });
    return node.definition;
  }

  /** By what its inputs have come to; `resolve` says what that is. */
  async content(node: VertexNode, resolve: Resolve): Promise<string> {
    const map = await this.#parts.map(node);
    const inputs = await Promise.all(node.inputs.map((_input, at) => this.#input(node, at, resolve)));
    return cacheKey('content', map.digest, inputs);
  }

  /** A step whose inputs are realized, as it is told why it is done. `key` is its content key. */
  async missed(node: VertexNode, key: string): Promise<MissedStep> {
    const map = await this.#parts.map(node);
    const inputs = node.inputs.map(async ({ node: input }, at) => ({
      vertex: input.vertex,
      key: await this.#input(node, at, (below) => this.#parts.realize(below)),
      byContent: map.inputs[at]?.contentDigest !== undefined,
      ran: input.ran === true,
      resolved: (await this.#parts.map(input)).resolved,
    }));
    return { vertex: node.vertex, key, op: map.digest, inputs: await Promise.all(inputs) };
  }

  /** What an input is, to the vertex: that of its contents which is read, or the whole. */
  async #input(node: VertexNode, at: number, resolve: Resolve): Promise<string> {
    const { node: input, output } = node.inputs[at]!;
    const { contentDigest, selector = '' } = (await this.#parts.map(node)).inputs[at] ?? {};
    if (!contentDigest)
      return `${outputOf((await resolve(input)).identities, output, input.vertex)} ${selector}`;
    const realized = await this.#parts.realize(input);
    const ref = outputOf(realized.refs, output, input.vertex);
    const slot = `${at} ${realized.identities[output]}`;
    const known = node.contents.get(slot);
    if (known !== undefined) return known;
    const digest = this.#parts
      .drive(node.vertex, (_driver, context) => contentDigest(ref, context))
      .catch((error: unknown) => {
        throw keyError('compute', error);
      });
    node.contents.set(slot, digest);
    return digest;
  }
}

/** Why a step has no key, in BuildKit's words. */
export function keyError(doing: 'compute' | 'load', error: unknown): unknown {
  if (!(error instanceof SlipwayError) || error.kind === 'canceled') return error;
  const { kind, code, message } = error;
  return new SlipwayError(kind, `failed to ${doing} cache key: ${message}`, {
    ...(code !== undefined && { code }),
    cause: error,
  });
}

import { invalid } from '#errors/errors.ts';
import type { CacheRecord } from '../cache/cache-store.ts';
import type { ImportedStep } from '../cache/portable/imported-steps.ts';
import type { Edge, Vertex } from '../llb/vertex.ts';
import type { Holdable } from './lease.ts';
import type { CacheMap } from './op-driver.ts';
import type { Ref } from './ref.ts';
import { blame } from './solve-error.ts';

/** A vertex within one build, and how far it has got. What is there has been asked for, and is not asked for twice. */
export interface VertexNode {
  readonly vertex: Vertex;
  readonly inputs: readonly NodeEdge[];
  /** Itself or one below it is not to be looked up, so that its definition says nothing of what it will come to. */
  readonly renewed: boolean;
  /** The outputs that somebody asks for. */
  readonly demanded: Set<number>;
  map?: Promise<CacheMap>;
  definition?: Promise<string>;
  /** By input and its identity. */
  readonly contents: Map<string, Promise<string>>;
  found?: Promise<Found>;
  realized?: Promise<Realized>;
  /** It was not in the cache. */
  ran?: boolean;
  /** It, or something that it stands on, is from a cache that its build was told of: others are not told so. */
  borrowed?: boolean;
  /** Where it is in such caches, and when that was first looked for. */
  places?: ImportedStep['places'];
  placed?: Promise<void>;
}

export interface NodeEdge {
  readonly node: VertexNode;
  readonly output: number;
}

/** What a vertex came to: refs that can be used until the build ends. */
export interface Realized {
  readonly refs: readonly Ref[];
  /** By output. */
  readonly identities: readonly string[];
  readonly lease: Holdable;
}

/** What a vertex came to, or would if its record were loaded. */
export type Found =
  | { readonly identities: readonly string[]; readonly record: CacheRecord }
  | { readonly identities: readonly string[]; readonly realized: Realized };

/** The nodes of one build by what they are. Graphs may be deep and share much: no recursion, each vertex once. */
export class VertexNodes {
  readonly #nodes = new Map<string, VertexNode>();

  /** The node of an edge's vertex; `onNew` hears of each that is new, inputs first. */
  load({ vertex: root, output }: Edge, onNew: (node: VertexNode) => void): VertexNode {
    const open = [root];
    for (let vertex = open.at(-1); vertex !== undefined; vertex = open.at(-1)) {
      const missing = this.#nodes.has(idOf(vertex)) ? [] : this.#missing(vertex.inputs);
      if (missing.length > 0) {
        open.push(...missing);
        continue;
      }
      open.pop();
      if (this.#nodes.has(idOf(vertex))) continue;
      const node = this.#node(vertex);
      this.#nodes.set(idOf(vertex), node);
      onNew(node);
    }
    const node = this.#nodes.get(idOf(root))!;
    demand(node, output);
    return node;
  }

  #missing(inputs: readonly Edge[]): Vertex[] {
    return inputs.map((input) => input.vertex).filter((vertex) => !this.#nodes.has(idOf(vertex)));
  }

  #node(vertex: Vertex): VertexNode {
    const inputs = vertex.inputs.map((input) => ({
      node: this.#nodes.get(idOf(input.vertex))!,
      output: input.output,
    }));
    const renewed = vertex.metadata.ignoreCache === true || inputs.some(({ node }) => node.renewed);
    for (const { node, output } of inputs) demand(node, output);
    return { vertex, inputs, renewed, demanded: new Set(), contents: new Map() };
  }
}

function demand(node: VertexNode, output: number): void {
  if (node.demanded.has(output)) return;
  node.demanded.add(output);
  if (!node.borrowed) return;
  // From elsewhere come only the outputs that were asked for by then.
  delete node.found;
  delete node.realized;
}

/** Vertices that differ in whether they may be looked up are not the same. */
function idOf({ digest, metadata }: Vertex): string {
  return metadata.ignoreCache ? `${digest}!` : digest;
}

/** All that a node stands on, and itself, inputs first. */
export function below(root: VertexNode): VertexNode[] {
  const seen = new Set<VertexNode>();
  const open = [root];
  const order: VertexNode[] = [];
  for (let node = open.at(-1); node !== undefined; node = open.at(-1)) {
    const missing = seen.has(node)
      ? []
      : node.inputs.map((input) => input.node).filter((one) => !seen.has(one));
    if (missing.length > 0) {
      open.push(...missing);
      continue;
    }
    open.pop();
    if (seen.has(node)) continue;
    seen.add(node);
    order.push(node);
  }
  return order;
}

/** Whether a vertex that was not found by its definition stands on what its build has from elsewhere. */
export function isBorrowed(node: VertexNode): boolean {
  node.borrowed ||= node.inputs.some((input) => input.node.borrowed);
  return node.borrowed;
}

/** Throws `invalid` when there is none of that number. */
export function outputOf<T>(outputs: readonly T[], at: number, vertex: Vertex): T {
  const output = outputs[at];
  if (output === undefined) throw blame(invalid(`${vertex.metadata.name} has no output ${at}`), vertex);
  return output;
}

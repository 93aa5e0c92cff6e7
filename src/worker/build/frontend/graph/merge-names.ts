import type { Edge, Vertex, VertexMetadata } from '../../llb/vertex.ts';

/**
 * The same graph with each vertex once. Two stages may be built on one image, and two vertices that are equal may have
 * been given names each: the last one counts, in the order that BuildKit writes graphs in.
 */
export function mergeNames(edge: Edge): Edge {
  const order = inWritingOrder(edge.vertex);
  const metadata = new Map<string, VertexMetadata>();
  for (const vertex of order)
    metadata.set(vertex.digest, merged(metadata.get(vertex.digest), vertex.metadata));
  const known = new Map<string, Vertex>();
  const unified = ({ vertex, output }: Edge): Edge => ({ vertex: known.get(vertex.digest)!, output });
  for (const vertex of order) {
    if (known.has(vertex.digest)) continue;
    const inputs = vertex.inputs.map(unified);
    known.set(vertex.digest, { ...vertex, inputs, metadata: metadata.get(vertex.digest)! });
  }
  return unified(edge);
}

/** Inputs before what needs them. No recursion: chains are as long as Dockerfiles. */
function inWritingOrder(root: Vertex): Vertex[] {
  const order: Vertex[] = [];
  const seen = new Set([root]);
  const path = [{ vertex: root, next: 0 }];
  for (let top = path.at(-1); top; top = path.at(-1)) {
    const input = top.vertex.inputs[top.next++];
    if (!input) {
      order.push(top.vertex);
      path.pop();
    } else if (!seen.has(input.vertex)) {
      seen.add(input.vertex);
      path.push({ vertex: input.vertex, next: 0 });
    }
  }
  return order;
}

function merged(first: VertexMetadata | undefined, last: VertexMetadata): VertexMetadata {
  const ignoreCache = first?.ignoreCache || last.ignoreCache;
  return { ...first, ...last, ...(ignoreCache && { ignoreCache }) };
}

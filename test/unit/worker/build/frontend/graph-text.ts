import type { ImageConfig } from '#oci/image-config.ts';
import type { ExecMount, ExecOp, Op } from '#worker/build/llb/op.ts';
import type { Edge, Vertex } from '#worker/build/llb/vertex.ts';
import type { FakeResult } from './fake-bridge.ts';

/** The vertices that an edge leads to, first what others need. */
export function verticesOf(edge: Edge | undefined): Vertex[] {
  const found = new Set<Vertex>();
  const visit = (vertex: Vertex) => {
    for (const input of vertex.inputs) if (!found.has(input.vertex)) visit(input.vertex);
    found.add(vertex);
  };
  if (edge) visit(edge.vertex);
  return [...found];
}

/** Their names, as progress shows them. */
export function names(result: FakeResult, id = ''): string[] {
  return verticesOf(result.refs.get(id)).map(({ metadata }) => metadata.name);
}

export function vertexNamed(result: FakeResult, name: string | RegExp, id = ''): Vertex {
  const vertex = verticesOf(result.refs.get(id)).find(({ metadata }) =>
    typeof name === 'string' ? metadata.name === name : name.test(metadata.name),
  );
  if (!vertex) throw new Error(`no vertex ${name} among ${names(result, id).join(' · ')}`);
  return vertex;
}

export function opOf<K extends Op['kind']>(vertex: Vertex, kind: K): Extract<Op, { kind: K }> {
  if (vertex.op.kind !== kind) throw new Error(`${vertex.metadata.name} is a ${vertex.op.kind}`);
  return vertex.op as Extract<Op, { kind: K }>;
}

/** The last exec of the graph. */
export function lastExec(result: FakeResult, id = ''): ExecOp {
  const vertex = verticesOf(result.refs.get(id)).findLast(({ op }) => op.kind === 'exec');
  if (!vertex) throw new Error('nothing is run');
  return opOf(vertex, 'exec');
}

export function mountAt(exec: ExecOp, dest: string): ExecMount {
  const mount = exec.mounts.find((candidate) => candidate.dest === dest);
  if (!mount) throw new Error(`no mount at ${dest} among ${exec.mounts.map((one) => one.dest).join(' ')}`);
  return mount;
}

export function sourceAttrs(
  result: FakeResult,
  identifier: string,
  id = '',
): Readonly<Record<string, string>> {
  for (const { op } of verticesOf(result.refs.get(id))) {
    if (op.kind === 'source' && op.identifier === identifier) return op.attrs;
  }
  throw new Error(`no source ${identifier}`);
}

export function configOf(result: FakeResult, platform?: string): ImageConfig {
  const bytes = result.metadata.get(`containerimage.config${platform ? `/${platform}` : ''}`);
  return JSON.parse(Buffer.from(bytes!).toString());
}

/** `created_by` of what the Dockerfile added. */
export function historyOf(result: FakeResult, platform?: string): string[] {
  const own = (configOf(result, platform).history ?? []).filter(({ comment }) => comment);
  return own.map(({ created_by, empty_layer }) => `${created_by}${empty_layer ? ' (empty)' : ''}`);
}

import type { ExecOp, SourceOp } from '../llb/op.ts';
import type { Edge, Vertex } from '../llb/vertex.ts';

/** Something from elsewhere that a graph is made of. */
export interface GraphSource {
  readonly vertex: Vertex<SourceOp>;
  readonly scheme: string;
  /** The identifier without its scheme. */
  readonly locator: string;
}

/** What a graph takes in, beside what it says itself. */
export interface GraphInputs {
  readonly sources: readonly GraphSource[];
  readonly secrets: readonly { readonly id: string; readonly optional: boolean }[];
  readonly agents: readonly { readonly id: string; readonly optional: boolean }[];
  /** Whether a command could reach a network. */
  readonly network: boolean;
  /** Every vertex, inputs before those that use them. */
  readonly vertices: readonly Vertex[];
}

/** Walks a graph once, however many ways lead to a vertex. */
export function graphInputs(edge: Edge | undefined): GraphInputs {
  const vertices = edge ? inOrder(edge.vertex) : [];
  const secrets = new Map<string, boolean>();
  const agents = new Map<string, boolean>();
  let network = false;
  for (const { op } of vertices) {
    if (op.kind === 'source') addLogins(op, secrets, agents);
    if (op.kind !== 'exec') continue;
    network ||= op.network !== 'none';
    for (const { id, optional } of secretsOf(op)) add(secrets, id, optional);
    for (const mount of op.mounts) {
      if (mount.type === 'ssh') add(agents, mount.id || 'default', mount.optional ?? false);
    }
  }
  const sources = vertices.flatMap((vertex) => {
    const [, scheme = '', locator = ''] =
      vertex.op.kind === 'source' ? (/^([^:]+):\/\/(.*)$/s.exec(vertex.op.identifier) ?? []) : [];
    return scheme === '' ? [] : [{ vertex: vertex as Vertex<SourceOp>, scheme, locator }];
  });
  return { sources, secrets: listed(secrets), agents: listed(agents), network, vertices };
}

function secretsOf(op: ExecOp): { id: string; optional: boolean }[] {
  const mounted = op.mounts.flatMap((mount) => (mount.type === 'secret' ? [mount] : []));
  return [...mounted, ...(op.secretEnv ?? [])].map(({ id, optional }) => ({
    id,
    optional: optional ?? false,
  }));
}

/** What a repository may be fetched with, if the client has it. */
function addLogins({ attrs }: SourceOp, secrets: Map<string, boolean>, agents: Map<string, boolean>): void {
  for (const name of ['git.authtokensecret', 'git.authheadersecret']) {
    if (attrs[name]) add(secrets, attrs[name], true);
  }
  if (attrs['git.mountsshsock']) add(agents, attrs['git.mountsshsock'], true);
}

/** What is needed once is needed. */
function add(wanted: Map<string, boolean>, id: string, optional: boolean): void {
  wanted.set(id, optional && (wanted.get(id) ?? true));
}

function listed(wanted: ReadonlyMap<string, boolean>): { id: string; optional: boolean }[] {
  return [...wanted].map(([id, optional]) => ({ id, optional }));
}

function inOrder(top: Vertex): Vertex[] {
  const order: Vertex[] = [];
  const seen = new Set<string>();
  // Without recursion: a graph may be thousands of vertices deep.
  const pending: { vertex: Vertex; expanded: boolean }[] = [{ vertex: top, expanded: false }];
  for (let item = pending.pop(); item; item = pending.pop()) {
    const { vertex, expanded } = item;
    if (expanded) {
      order.push(vertex);
      continue;
    }
    if (seen.has(vertex.digest)) continue;
    seen.add(vertex.digest);
    pending.push({ vertex, expanded: true });
    for (const input of vertex.inputs.toReversed()) pending.push({ vertex: input.vertex, expanded: false });
  }
  return order;
}

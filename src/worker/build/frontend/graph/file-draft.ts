import type {
  ChownOptions,
  CopyAction,
  FileAction,
  FileOp,
  MakeDirectoryAction,
  MakeFileAction,
} from '../../llb/op.ts';
import { type Edge, type VertexMetadata, vertex } from '../../llb/vertex.ts';
import type { Draft } from './draft.ts';

/** A file action whose inputs have no numbers yet. */
export type PlannedAction =
  | ({ readonly from: Draft | undefined; readonly owner?: PlannedOwner } & Omit<CopyAction, 'owner'>)
  | ({ readonly owner?: PlannedOwner } & Omit<MakeFileAction, 'owner'>)
  | ({ readonly owner?: PlannedOwner } & Omit<MakeDirectoryAction, 'owner'>);

/** IDs, or names that are looked up in the file system that is changed. */
export interface PlannedOwner {
  readonly user?: number | string;
  readonly group?: number | string;
}

/** Does actions one after the other, on `base` (undefined: an empty file system), and answers what they come to. */
export function fileEdge(
  base: Draft | undefined,
  actions: readonly PlannedAction[],
  metadata: VertexMetadata,
): Edge {
  const inputs = new Inputs();
  const baseInput = base && inputs.add(base.edge);
  const secondary = actions.map((action) =>
    action.type === 'copy' && action.from ? inputs.add(action.from.edge) : undefined,
  );
  const op: FileOp = {
    kind: 'file',
    actions: actions.map((action, at): FileAction => {
      const input = at === 0 ? baseInput : inputs.edges.length + at - 1;
      const secondaryInput = secondary[at];
      return {
        ...(input !== undefined && { input }),
        ...(secondaryInput !== undefined && { secondaryInput }),
        ...(at === actions.length - 1 && { output: 0 }),
        ...withOwner(action, baseInput),
      };
    }),
  };
  return { vertex: vertex(op, inputs.edges, { metadata }), output: 0 };
}

/** Inputs of a vertex, each edge once. */
export class Inputs {
  readonly edges: Edge[] = [];

  /** Answers its number. */
  add(edge: Edge): number {
    const known = this.edges.findIndex(
      ({ vertex: { digest }, output }) => digest === edge.vertex.digest && output === edge.output,
    );
    return known < 0 ? this.edges.push(edge) - 1 : known;
  }
}

/** `user[:group]`, each a number or a name, as `--chown` has it. */
export function readOwner(text: string): PlannedOwner {
  const colon = text.indexOf(':');
  if (colon < 0) return { user: readId(text) };
  return { user: readId(text.slice(0, colon)), group: readId(text.slice(colon + 1)) };
}

function readId(text: string): number | string {
  if (text === '' || text === 'root') return 0;
  return /^\+?\d{1,10}$/.test(text) && Number(text) <= 0x7fffffff ? Number(text) : text;
}

function withOwner(
  action: PlannedAction,
  base: number | undefined,
): CopyAction | MakeFileAction | MakeDirectoryAction {
  const owner = action.owner && ownerOptions(action.owner, base);
  if (action.type === 'copy') {
    const { from: _from, owner: _owner, ...copy } = action;
    return { ...copy, ...(owner && { owner }) };
  }
  const { owner: _owner, ...make } = action;
  return { ...make, ...(owner && { owner }) };
}

function ownerOptions({ user, group }: PlannedOwner, base: number | undefined): ChownOptions {
  const option = (id: number | string) =>
    typeof id === 'number'
      ? { byId: id }
      : { byName: { name: id, ...(base !== undefined && { input: base }) } };
  return {
    ...(user !== undefined && { user: option(user) }),
    ...(group !== undefined && { group: option(group) }),
  };
}

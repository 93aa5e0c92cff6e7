import type { FileAction, Op } from '#worker/build/llb/op.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';

/** Names contain names: without a limit a chain of merges would double them at each step. */
const MAX_LENGTH = 1_000;

/** What BuildKit calls a step that its client gave no name. */
export function stepName(op: Op, inputs: readonly Edge[]): string {
  return fullName(op, inputs).slice(0, MAX_LENGTH);
}

function fullName(op: Op, inputs: readonly Edge[]): string {
  const named = (input: number | undefined) =>
    input === undefined ? 'scratch' : `(${inputs[input]!.vertex.metadata.name})`;
  switch (op.kind) {
    case 'source':
      return op.identifier;
    case 'exec':
      return op.args.join(' ');
    case 'file':
      return op.actions.map(actionName).join(', ');
    case 'merge':
      return `merge (${inputs.map(({ vertex }) => vertex.metadata.name).join(', ')})`;
    case 'diff':
      return `diff ${named(op.lower)} -> ${named(op.upper)}`;
    case 'passthrough':
      return op.id;
  }
}

function actionName(action: FileAction): string {
  switch (action.type) {
    case 'copy':
      return `copy ${action.src} ${action.dest}`;
    case 'symlink':
      return `symlink ${action.newpath} -> ${action.oldpath}`;
    default:
      return `${action.type} ${action.path}`;
  }
}

import type { Edge } from '../../llb/vertex.ts';
import { mergeNames } from '../graph/merge-names.ts';
import type { Compilation } from './compilation.ts';
import type { Stage } from './stage.ts';

const CONTEXT = 'BUILDKIT_SBOM_SCAN_CONTEXT';
const STAGE = 'BUILDKIT_SBOM_SCAN_STAGE';

/** ARGs that say how to look at a stage, and that no command gets. */
export const SCAN_ARGS: ReadonlySet<string> = new Set([CONTEXT, STAGE]);

/** What beside the target is to be scanned for packages: `context`, and stages by name. */
export function scannedEdges(
  compilation: Compilation,
  target: Stage,
  needed: ReadonlySet<Stage>,
): ReadonlyMap<string, Edge> {
  const extras = new Map<string, Edge>();
  if (asks(compilation, target, CONTEXT)) extras.set('context', compilation.context.edge);
  for (const stage of needed) {
    if (stage === target || !stage.from || !stage.files || !asks(compilation, stage, STAGE)) continue;
    extras.set(stage.label, mergeNames(stage.files.edge));
  }
  return extras;
}

/** The stage's own ARG counts, else the one before the first FROM: yes or no, or a list of stages. */
function asks({ globalArgs }: Compilation, stage: Stage, name: string): boolean {
  const own = stage.args.findLast((arg) => arg.name === name && arg.value !== undefined);
  const value = own?.value ?? globalArgs.get(name) ?? '';
  if (/^(?:1|t|T|true|TRUE|True)$/.test(value)) return true;
  return value.split(',').includes(stage.label) && value !== '';
}

import { cleanPath } from '../../context/clean-path.ts';
import { hasWildcards } from '../../context/path-match.ts';
import { parseChmod } from '../../dockerfile/chmod.ts';
import type { CopyInstruction } from '../../dockerfile/instructions.ts';
import type { Draft } from '../graph/draft.ts';
import type { PlannedAction, PlannedOwner } from '../graph/file-draft.ts';
import { joinPath } from '../paths.ts';

/** What the flags and the destination of a COPY say, whatever is copied. */
export interface CopyShape {
  readonly dest: string;
  readonly owner?: PlannedOwner;
  readonly mode?: string;
  readonly excludePatterns?: readonly string[];
}

/** Files of the context, of a stage or of an image. */
export function localAction(
  copy: CopyInstruction,
  path: string,
  from: Draft | undefined,
  shape: CopyShape,
): PlannedAction {
  return {
    type: 'copy',
    from,
    ...(copy.parents ? parentsOf(path) : { src: sourcePath(path) }),
    ...shape,
    followSymlink: true,
    dirCopyContents: true,
    unpack: copy.unpack ?? copy.name === 'ADD',
    createDestPath: true,
    allowWildcard: true,
    allowEmptyWildcard: true,
  };
}

/** `--chmod`: octal digits in one form, or clauses as they are written. Throws `DockerfileError`. */
export function readMode(text: string): string {
  const { octal } = parseChmod(text);
  return octal === undefined ? text : octal.toString(8);
}

/** `--parents`: what is before `/./` stays behind; what is after it keeps its directories. */
function parentsOf(path: string): {
  src: string;
  includePatterns: readonly string[];
  requiredPaths?: readonly string[];
} {
  const pivot = path.indexOf('/./');
  const base = pivot < 0 ? '/' : path.slice(0, pivot);
  const rest = pivot < 0 ? path : path.slice(pivot + '/./'.length);
  const pattern = sourcePath(rest);
  const src = sourcePath(base);
  const literal = !hasWildcards(base) && !hasWildcards(pattern);
  return {
    src,
    includePatterns: [pattern.replace(/^\//, '')],
    ...(literal && { requiredPaths: [joinPath(src, pattern)] }),
  };
}

function sourcePath(path: string): string {
  return cleanPath(joinPath('/', path));
}

import { digestOf } from '#oci/digest.ts';
import { hasWildcards } from '../../context/path-match.ts';
import type { ContentSelector } from '../../files/content-digest.ts';
import { canonicalJson } from '../../llb/canonical-json.ts';
import type { ChownOptions, CopyAction, FileAction, FileOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';

export interface FileKeys {
  readonly digest: string;
  /** What is read of each input; undefined: an input that is changed, of which all counts. */
  readonly selectors: readonly (readonly ContentSelector[] | undefined)[];
}

/**
 * What makes a file op's outcome: its actions, but of the sources only what they are called at the destination; and
 * the selected contents of what is copied from. As BuildKit has it.
 */
export function fileKeys({ op, inputs, platform }: Vertex<FileOp>): FileKeys {
  const selectors = inputs.map((): ContentSelector[] => []);
  const changed = new Set<number>();
  for (const action of op.actions) {
    if (action.input !== undefined) changed.add(action.input);
    for (const [at, selector] of selectorsOf(action)) selectors[at]?.push(selector);
  }
  const actions = op.actions.map((action) => keyOf(action, inputs.length));
  return {
    digest: digestOf(canonicalJson(['file', actions, platform ?? null])),
    selectors: selectors.map((selected, at) =>
      changed.has(at) || selected.length === 0 ? undefined : selected,
    ),
  };
}

function keyOf(action: FileAction, inputs: number): FileAction {
  const fromInput = action.secondaryInput !== undefined && action.secondaryInput < inputs;
  return action.type === 'copy' && fromInput ? { ...action, src: baseName(action.src) } : action;
}

function selectorsOf(action: FileAction): [input: number, selector: ContentSelector][] {
  const found = 'owner' in action ? ownerSelectors(action.owner) : [];
  if (action.type === 'copy' && action.secondaryInput !== undefined) {
    found.push([action.secondaryInput, copySelector(action)]);
  }
  return found;
}

function copySelector(action: CopyAction): ContentSelector {
  const { src, allowWildcard, followSymlink, includePatterns, excludePatterns, requiredPaths } = action;
  return {
    path: src,
    ...(allowWildcard && hasWildcards(src) && { wildcard: true }),
    ...(followSymlink && { follow: true }),
    ...(includePatterns?.length && { includePatterns }),
    ...(excludePatterns?.length && { excludePatterns }),
    ...(requiredPaths?.length && { requiredPaths }),
  };
}

function ownerSelectors({ user, group }: ChownOptions = {}): [number, ContentSelector][] {
  const found: [number, ContentSelector][] = [];
  for (const [option, path] of [
    [user, '/etc/passwd'],
    [group, '/etc/group'],
  ] as const) {
    if (option && 'byName' in option && option.byName.input !== undefined) {
      found.push([option.byName.input, { path, follow: true }]);
    }
  }
  return found;
}

function baseName(path: string): string {
  return path.replace(/\/+$/, '').split('/').at(-1) || (path.startsWith('/') ? '/' : '.');
}

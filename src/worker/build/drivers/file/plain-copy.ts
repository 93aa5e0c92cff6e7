import { hasWildcards } from '../../context/path-match.ts';
import type { FileAction, FileOp } from '../../llb/op.ts';
import type { ActionChain } from './action-chains.ts';

/** A chain that is one copy of one file, or of all that is in a directory, can be written as a layer straight away. */
export function plainCopyOf({ actions }: FileOp, chain: ActionChain): FileAction | undefined {
  const [only, ...more] = chain.actions.map((at) => actions[at]!);
  if (only?.type !== 'copy' || more.length > 0 || only.unpack || !only.createDestPath) return undefined;
  const chosen = [only.includePatterns, only.excludePatterns, only.requiredPaths];
  if (chosen.some((list) => (list?.length ?? 0) > 0)) return undefined;
  return only.allowWildcard && hasWildcards(only.src) ? undefined : only;
}

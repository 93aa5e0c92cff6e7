import { rmdirSync, rmSync, type Stats, unlinkSync } from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';
import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { type MatchInfo, PatternMatcher } from '../context/pattern-matcher.ts';
import { modifiedAt, setTime } from './file-metadata.ts';

/**
 * Takes away from a tree what patterns as of `.dockerignore` match; a directory stays while something in it does.
 * Answers what went, by path; a directory stands for all that was in it. Throws `invalid` for a pattern that is none.
 */
export function removeExcluded(root: string, patterns: readonly string[]): string[] {
  const matcher = new PatternMatcher(patterns);
  const removed: string[] = [];
  if (!matcher.isEmpty) visit({ matcher, removed }, root, '', undefined);
  return removed;
}

interface Removal {
  readonly matcher: PatternMatcher;
  readonly removed: string[];
}

/** Answers how many of a directory's entries stay. */
function visit(removal: Removal, directory: string, relative: string, parent: MatchInfo | undefined): number {
  const { matcher, removed } = removal;
  let left = 0;
  for (const { name, path, stats } of listDirectory(directory)) {
    const within = relative === '' ? name : `${relative}/${name}`;
    const { matched, info } = matcher.matchesIn(within, relative === '' ? undefined : parent);
    if (stats.isDirectory()) left += visitDirectory(removal, { path, within, stats, matched, info });
    else if (!matched) left++;
    else {
      unlinkSync(systemPath(path));
      removed.push(within);
    }
  }
  return left;
}

function visitDirectory(
  removal: Removal,
  directory: { path: string; within: string; stats: Stats; matched: boolean; info: MatchInfo },
): number {
  const { path, within, stats, matched, info } = directory;
  const { matcher, removed } = removal;
  if (matched && !matcher.hasExceptions) {
    rmSync(systemPath(path), { recursive: true, force: true });
    removed.push(within);
    return 0;
  }
  const left = visit(removal, path, within, info);
  if (matched && left === 0) {
    rmdirSync(systemPath(path));
    removed.push(within);
    return 0;
  }
  setTime(path, modifiedAt(stats));
  return 1;
}

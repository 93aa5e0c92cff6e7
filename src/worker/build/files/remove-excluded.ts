import { rmdirSync, rmSync, type Stats, unlinkSync } from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';
import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { type MatchInfo, PatternMatcher } from '../context/pattern-matcher.ts';
import { modifiedAt, setTime } from './file-metadata.ts';

/**
 * Takes away from a tree what patterns as of `.dockerignore` match; a directory stays while something in it does.
 * Throws `invalid` for a pattern that is none.
 */
export function removeExcluded(root: string, patterns: readonly string[]): void {
  const matcher = new PatternMatcher(patterns);
  if (!matcher.isEmpty) visit(matcher, root, '', undefined);
}

/** Answers how many of a directory's entries stay. */
function visit(
  matcher: PatternMatcher,
  directory: string,
  relative: string,
  parent: MatchInfo | undefined,
): number {
  let left = 0;
  for (const { name, path, stats } of listDirectory(directory)) {
    const within = relative === '' ? name : `${relative}/${name}`;
    const { matched, info } = matcher.matchesIn(within, relative === '' ? undefined : parent);
    if (stats.isDirectory()) left += visitDirectory(matcher, { path, within, stats, matched, info });
    else if (matched) unlinkSync(systemPath(path));
    else left++;
  }
  return left;
}

function visitDirectory(
  matcher: PatternMatcher,
  directory: { path: string; within: string; stats: Stats; matched: boolean; info: MatchInfo },
): number {
  const { path, within, stats, matched, info } = directory;
  if (matched && !matcher.hasExceptions) {
    rmSync(systemPath(path), { recursive: true, force: true });
    return 0;
  }
  const left = visit(matcher, path, within, info);
  if (matched && left === 0) {
    rmdirSync(systemPath(path));
    return 0;
  }
  setTime(path, modifiedAt(stats));
  return 1;
}

import type { CacheContents, CacheUsage } from './cache-contents.ts';

/** What to forget, in the words of BuildKit's `PruneRequest`; sizes in bytes, 0 as if it were not there. */
export interface PruneRequest {
  /** Only what was last used before. */
  readonly unusedSince?: Date;
  /** So much may stay whatever the other limits say. */
  readonly reservedBytes?: number;
  /** Not more than this is to be left. */
  readonly maxUsedBytes?: number;
  /** So much of the disk is to be free. */
  readonly minFreeBytes?: number;
  /** What is to be forgotten, by all that is known of it. */
  readonly matches?: (usage: CacheUsage) => boolean;
}

export interface PruneReport {
  readonly removed: readonly CacheUsage[];
  readonly bytes: number;
}

/**
 * Forgets what no build uses, least recently used first, until the limits are kept; without limits, all that matches.
 * `freeBytes`: of the disk.
 */
export async function prune(
  parts: readonly CacheContents[],
  request: PruneRequest,
  freeBytes: () => Promise<number>,
): Promise<PruneReport> {
  const all = (await Promise.all(parts.map(async (part) => pairs(part, await part.usage())))).flat();
  let left = all.reduce((sum, { usage }) => sum + usage.bytes, 0);
  const keep = await bytesToKeep(left, request, freeBytes);
  const candidates = all
    .filter(({ usage }) => !usage.inUse)
    .filter(({ usage }) => !request.unusedSince || usage.lastUsedAt < request.unusedSince)
    .filter(({ usage }) => request.matches?.(usage) ?? true)
    .sort((a, b) => leastUsedFirst(a.usage, b.usage));
  const removed: CacheUsage[] = [];
  let bytes = 0;
  for (const { part, usage } of candidates) {
    if (keep !== undefined && left <= keep) break;
    const freed = await part.remove(usage.id);
    if (freed === undefined) continue;
    left -= usage.bytes;
    bytes += freed;
    removed.push(usage);
  }
  return { removed, bytes };
}

/** undefined: nothing has to be kept. */
async function bytesToKeep(
  total: number,
  { reservedBytes = 0, maxUsedBytes = 0, minFreeBytes = 0 }: PruneRequest,
  freeBytes: () => Promise<number>,
): Promise<number | undefined> {
  if (reservedBytes === 0 && maxUsedBytes === 0 && minFreeBytes === 0) return undefined;
  const limits = maxUsedBytes === 0 ? [] : [maxUsedBytes];
  const missing = minFreeBytes === 0 ? 0 : minFreeBytes - (await freeBytes());
  if (missing > 0) limits.push(total - missing);
  // Enough is free, and no more was asked for than that.
  if (limits.length === 0 && minFreeBytes > 0) limits.push(total);
  return Math.max(reservedBytes, limits.length === 0 ? 0 : Math.min(...limits));
}

/** Among those used at the same time the later ones go first: nothing stands on them. */
function leastUsedFirst(a: CacheUsage, b: CacheUsage): number {
  return a.lastUsedAt.getTime() - b.lastUsedAt.getTime() || b.createdAt.getTime() - a.createdAt.getTime();
}

function pairs(part: CacheContents, usages: readonly CacheUsage[]) {
  return usages.map((usage) => ({ part, usage }));
}

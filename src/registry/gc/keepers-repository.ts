import type { RegistryDatabase } from '#database/registry/open.ts';

/** A manifest with more keepers than this is looked at again once some of them are gone. */
const MAX_KEEPERS = 500;
const BATCH = 100;

/**
 * The manifests that keep one, itself first: the indexes that list it, the subjects that it refers to, those that keep
 * these, and so on. When nothing keeps any of them, all of them are garbage together: there may be a circle, an index
 * that has one of its own manifests for its subject. Undefined when there are too many to tell, or when one is tagged.
 */
export async function untaggedKeepers(
  db: RegistryDatabase,
  repository: number,
  digest: string,
): Promise<Set<string> | 'tagged' | 'too many'> {
  const found = new Set([digest]);
  for (let frontier = [digest]; frontier.length > 0; ) {
    const next: string[] = [];
    for (let start = 0; start < frontier.length; start += BATCH) {
      const batch = frontier.slice(start, start + BATCH);
      if (await anyTagged(db, repository, batch)) return 'tagged';
      for (const keeper of await keepersOf(db, repository, batch)) {
        if (found.has(keeper)) continue;
        if (found.size >= MAX_KEEPERS) return 'too many';
        found.add(keeper);
        next.push(keeper);
      }
    }
    frontier = next;
  }
  return found;
}

async function anyTagged(
  db: RegistryDatabase,
  repository: number,
  digests: readonly string[],
): Promise<boolean> {
  const tag = await db
    .selectFrom('tags')
    .select('name')
    .where('repository_id', '=', repository)
    .where('manifest', 'in', digests)
    .limit(1)
    .executeTakeFirst();
  return tag !== undefined;
}

async function keepersOf(
  db: RegistryDatabase,
  repository: number,
  digests: readonly string[],
): Promise<string[]> {
  const indexes = await db
    .selectFrom('manifest_references')
    .select('manifest as keeper')
    .where('repository_id', '=', repository)
    .where('kind', '=', 'manifest')
    .where('digest', 'in', digests)
    .limit(MAX_KEEPERS + 1)
    .execute();
  const subjects = await db
    .selectFrom('referrers')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.repository_id', '=', 'referrers.repository_id')
        .onRef('manifests.digest', '=', 'referrers.subject'),
    )
    .select('referrers.subject as keeper')
    .where('referrers.repository_id', '=', repository)
    .where('referrers.digest', 'in', digests)
    .execute();
  return [...indexes, ...subjects].map(({ keeper }) => keeper);
}

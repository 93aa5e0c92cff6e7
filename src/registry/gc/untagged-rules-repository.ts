import { type SqlBool, sql } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { type Kept, keptBy, type RetentionRule } from '../retention/retention-rule.ts';

/** How the rules of its repository keep one of these untagged manifests, if they do. */
export async function keptUntagged(
  db: RegistryDatabase,
  repository: number,
  digests: readonly string[],
  rules: readonly RetentionRule[],
): Promise<(Kept & { digest: string }) | undefined> {
  const now = Date.now();
  const newest = Math.max(0, ...rules.map(({ keepNewest }) => keepNewest ?? 0));
  const rows = await db
    .selectFrom('manifests')
    .leftJoin('pulls', (join) =>
      join
        .onRef('pulls.repository_id', '=', 'manifests.repository_id')
        .on('pulls.kind', '=', 'manifest')
        .onRef('pulls.reference', '=', 'manifests.digest'),
    )
    .leftJoin('mirrored_manifests as mirrored', (join) =>
      join
        .onRef('mirrored.repository_id', '=', 'manifests.repository_id')
        .onRef('mirrored.digest', '=', 'manifests.digest'),
    )
    .select([
      'manifests.digest',
      'manifests.created_at as pushedAt',
      'pulls.last_pulled_at as pulledAt',
      'mirrored.digest as mirrored',
    ])
    .where('manifests.repository_id', '=', repository)
    .where('manifests.digest', 'in', digests)
    .execute();
  for (const { digest, pushedAt, pulledAt, mirrored } of rows) {
    // What was fetched from elsewhere expires by the mirror's own rules.
    if (mirrored !== null) return { digest, until: undefined, why: 'is a mirror' };
    const newer = newest > 0 ? await countNewer(db, repository, { digest, pushedAt }, newest) : 0;
    for (const rule of rules) {
      const kept = keptBy(rule, { pushedAt, pulledAt: pulledAt ?? undefined, newer }, now);
      if (kept) return { ...kept, digest };
    }
  }
  return undefined;
}

/** How many untagged manifests that nothing else keeps were pushed later; `limit` for that many or more. */
async function countNewer(
  db: RegistryDatabase,
  repository: number,
  { digest, pushedAt }: { digest: string; pushedAt: number },
  limit: number,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from (
    select 1 as one from manifests m
    where m.repository_id = ${repository} and (m.created_at, m.digest) > (${pushedAt}, ${digest})
    and ${UNKEPT} limit ${limit}) as newer`.execute(db);
  return rows[0]!.count;
}

/** Of a manifest `m`: no tag, no index and no subject keeps it. */
const UNKEPT = sql<SqlBool>`
  not exists (select 1 from tags t where t.repository_id = m.repository_id and t.manifest = m.digest)
  and not exists (select 1 from manifest_references p
    where p.repository_id = m.repository_id and p.digest = m.digest and p.kind = 'manifest')
  and not exists (select 1 from referrers f join manifests s
    on s.repository_id = f.repository_id and s.digest = f.subject
    where f.repository_id = m.repository_id and f.digest = m.digest)`;

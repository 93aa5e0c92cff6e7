import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { SYSTEM } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import type { RetentionRule } from '../retention/retention-rule.ts';
import { rulesFor } from '../retention/retention-rules-repository.ts';
import { untaggedKeepers } from './keepers-repository.ts';
import { NOTHING_DUE, type ReviewKey, type ReviewResult } from './review-key.ts';
import { drop, IN_USE, retryIn, takeDue } from './review-queue-repository.ts';
import { addTotals } from './totals-repository.ts';
import { keptUntagged } from './untagged-rules-repository.ts';

/** How often it is looked at whether newer pushes took an untagged manifest's place, in milliseconds. */
const RECHECK = 6 * 60 * 60_000;

/** What is to become of a manifest. `garbage`: these go together. */
export type Verdict =
  | { readonly kind: 'kept' }
  | { readonly kind: 'later'; readonly delay: number }
  | { readonly kind: 'garbage'; readonly digests: readonly string[] };

/** Deletes manifests that no tag, index or subject keeps, and no rule for untagged ones. */
export class ManifestReviewsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Reviews up to `limit` manifests. Waits for nobody; safe against whoever pushes or collects at the same time. */
  async review(limit: number, rules: readonly RetentionRule[]): Promise<ReviewResult> {
    return await inTransaction(this.#db, async (trx) => {
      const due = await takeDue(trx, 'gc_manifest_queue', limit);
      if (due.length === 0) return NOTHING_DUE;
      const names = await namesOf(trx, due);
      let deleted = 0;
      for (const key of due) {
        const name = names.get(key.repository_id);
        const verdict = name === undefined ? KEPT : await judge(trx, key, rulesFor(rules, 'untagged', name));
        const settled = verdict.kind === 'garbage' ? await hold(trx, key, verdict, rules, name!) : verdict;
        if (settled.kind === 'later') await retryIn(trx, 'gc_manifest_queue', [key], settled.delay);
        else await drop(trx, 'gc_manifest_queue', [key]);
        if (settled.kind === 'garbage')
          deleted += await remove(trx, key.repository_id, name!, settled.digests);
      }
      await addTotals(trx, { manifests: deleted });
      return { reviewed: due.length, deleted };
    });
  }
}

const KEPT = { kind: 'kept' } as const;

/** Looks at a manifest as it is now. Whatever keeps it puts it on the queue again when that goes. */
export async function judge(
  db: RegistryDatabase,
  { repository_id, digest }: ReviewKey,
  rules: readonly RetentionRule[],
): Promise<Verdict> {
  if (rules.length === 0) return KEPT;
  const keepers = await untaggedKeepers(db, repository_id, digest);
  if (keepers === 'tagged') return KEPT;
  if (keepers === 'too many') return { kind: 'later', delay: RECHECK };
  const kept = await keptUntagged(db, repository_id, [...keepers], rules);
  if (!kept) return { kind: 'garbage', digests: [...keepers] };
  if (kept.digest !== digest) return KEPT;
  return { kind: 'later', delay: kept.until === undefined ? RECHECK : kept.until - Date.now() };
}

/**
 * Holds what is to go, and looks again: what was tagged, or listed in an index, before it was held is seen now, and
 * nothing can be any more.
 */
async function hold(
  trx: RegistryDatabase,
  key: ReviewKey,
  { digests }: { digests: readonly string[] },
  rules: readonly RetentionRule[],
  name: string,
): Promise<Verdict> {
  const held = await trx
    .selectFrom('manifests')
    .select('digest')
    .where('repository_id', '=', key.repository_id)
    .where('digest', 'in', digests)
    .orderBy('digest')
    .forUpdate()
    .skipLocked()
    .execute();
  const again = await judge(trx, key, rulesFor(rules, 'untagged', name));
  if (again.kind !== 'garbage') return again;
  const isHeld = new Set(held.map((row) => row.digest));
  const there = await existing(trx, key.repository_id, again.digests);
  // A push has one of them at the moment.
  if (there.some((digest) => !isHeld.has(digest))) return { kind: 'later', delay: IN_USE };
  return { kind: 'garbage', digests: there };
}

async function existing(
  trx: RegistryDatabase,
  repository: number,
  digests: readonly string[],
): Promise<string[]> {
  const rows = await trx
    .selectFrom('manifests')
    .select('digest')
    .where('repository_id', '=', repository)
    .where('digest', 'in', digests)
    .execute();
  return rows.map(({ digest }) => digest);
}

async function remove(
  trx: RegistryDatabase,
  repository: number,
  name: string,
  digests: readonly string[],
): Promise<number> {
  if (digests.length === 0) return 0;
  const gone = await trx
    .deleteFrom('manifests')
    .where('repository_id', '=', repository)
    .where('digest', 'in', digests)
    .returning('digest')
    .execute();
  await recordEvents(
    trx,
    SYSTEM,
    gone.map(({ digest }) => ({
      action: 'manifest.delete',
      repository: name,
      digest,
      detail: { reason: 'untagged' },
    })),
  );
  return gone.length;
}

async function namesOf(trx: RegistryDatabase, keys: readonly ReviewKey[]): Promise<Map<number, string>> {
  const ids = [...new Set(keys.map(({ repository_id }) => repository_id))];
  const rows = await trx.selectFrom('repositories').select(['id', 'name']).where('id', 'in', ids).execute();
  return new Map(rows.map(({ id, name }) => [id, name]));
}

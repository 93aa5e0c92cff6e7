import { sql } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';

/** How much was collected. */
export interface GcTotals {
  readonly manifests: number;
  readonly links: number;
  readonly blobs: number;
  readonly bytes: number;
}

/** Counts what a transaction deletes. The last thing it does: the row is everybody's. */
export async function addTotals(trx: RegistryDatabase, deleted: Partial<GcTotals>): Promise<void> {
  const counts = Object.entries(deleted).filter(([, count]) => count > 0);
  if (counts.length === 0) return;
  const added = counts.map(([name, count]) => [name, sql<number>`${sql.ref(name)} + ${sql.lit(count)}`]);
  await trx.updateTable('gc_totals').set(Object.fromEntries(added)).where('id', '=', 1).execute();
}

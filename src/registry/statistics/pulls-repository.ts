import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { PullCount } from './pull.ts';

/** How many rows or parameters one statement takes. */
const BATCH = 200;

export class PullsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /**
   * Adds to what is counted. Manifests' counts go to their repository too, except those of an index's parts: the index
   * was counted. Repositories that are gone are passed over.
   */
  async add(counts: readonly (PullCount & { repository: RepositoryName })[]): Promise<void> {
    const byRepository = Map.groupBy(counts, ({ repository }) => repository);
    for (const names of batches([...byRepository.keys()].sort())) {
      await inTransaction(this.#db, async (trx) => {
        const repositories = await trx
          .selectFrom('repositories')
          .select(['id', 'name'])
          .where('name', 'in', names)
          .orderBy('id')
          .execute();
        for (const { id, name } of repositories) {
          await addTo(trx, id, byRepository.get(name as RepositoryName) ?? []);
        }
      });
    }
  }

  /** What is counted of a repository: itself, its tags or its manifests; by reference, after `last`. */
  async list(
    repository: RepositoryName,
    options: { kind: PullCount['kind']; limit: number; last?: string | undefined },
  ): Promise<PullCount[]> {
    let query = this.#db
      .selectFrom('pulls')
      .innerJoin('repositories', 'repositories.id', 'pulls.repository_id')
      .select(['kind', 'reference', 'pulls', 'last_pulled_at as lastPulledAt'])
      .where('repositories.name', '=', repository)
      .where('kind', '=', options.kind)
      .orderBy('reference')
      .limit(options.limit);
    if (options.last !== undefined) query = query.where('reference', '>', options.last);
    return await query.execute();
  }

  /** Lets go of counts whose tag or manifest is gone. */
  async prune(): Promise<void> {
    await this.#db
      .deleteFrom('pulls')
      .where('kind', '=', 'tag')
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('tags')
              .select('name')
              .whereRef('tags.repository_id', '=', 'pulls.repository_id')
              .whereRef('tags.name', '=', 'pulls.reference'),
          ),
        ),
      )
      .execute();
    await this.#db
      .deleteFrom('pulls')
      .where('kind', '=', 'manifest')
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('manifests')
              .select('digest')
              .whereRef('manifests.repository_id', '=', 'pulls.repository_id')
              .whereRef('manifests.digest', '=', 'pulls.reference'),
          ),
        ),
      )
      .execute();
  }
}

async function addTo(trx: RegistryDatabase, repository: number, counts: readonly PullCount[]): Promise<void> {
  const manifests = counts.filter(({ kind }) => kind === 'manifest');
  const parts = new Set<string>();
  for (const batch of batches(manifests.map(({ reference }) => reference))) {
    const rows = await trx
      .selectFrom('manifest_references')
      .select('digest')
      .distinct()
      .where('digest', 'in', batch)
      .where('repository_id', '=', repository)
      .where('kind', '=', 'manifest')
      .execute();
    for (const { digest } of rows) parts.add(digest);
  }
  const whole = manifests.filter(({ reference }) => !parts.has(reference));
  const total: PullCount = {
    kind: 'repository',
    reference: '',
    pulls: whole.reduce((sum, { pulls }) => sum + pulls, 0),
    lastPulledAt: counts.reduce((last, { lastPulledAt }) => Math.max(last, lastPulledAt), 0),
  };
  const rows = [total, ...counts]
    .map(({ kind, reference, pulls, lastPulledAt }) => ({
      repository_id: repository,
      kind,
      reference,
      pulls,
      last_pulled_at: lastPulledAt,
    }))
    .sort((a, b) => compare(a.kind, b.kind) || compare(a.reference, b.reference));
  for (const batch of batches(rows)) {
    await trx
      .insertInto('pulls')
      .values(batch)
      .onConflict((conflict) =>
        conflict.columns(['repository_id', 'kind', 'reference']).doUpdateSet((eb) => ({
          pulls: eb('pulls.pulls', '+', eb.ref('excluded.pulls')),
          last_pulled_at: eb
            .case()
            .when('excluded.last_pulled_at', '>', eb.ref('pulls.last_pulled_at'))
            .then(eb.ref('excluded.last_pulled_at'))
            .else(eb.ref('pulls.last_pulled_at'))
            .end(),
        })),
      )
      .execute();
  }
}

/** As the database orders names, so that two writers take their rows in the same order. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function* batches<T>(items: readonly T[]): Generator<T[]> {
  for (let start = 0; start < items.length; start += BATCH) yield items.slice(start, start + BATCH);
}

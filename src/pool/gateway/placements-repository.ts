import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { PlacedKind } from '#database/pool/placements-schema.ts';

export type { PlacedKind };

/** An object and the worker that has it. */
export interface Placement {
  readonly kind: PlacedKind;
  readonly name: string | null;
  /** Null while it is being made. */
  readonly id: string | null;
  readonly worker: string;
  readonly isUsed: boolean;
}

export interface NewPlacement {
  readonly kind: PlacedKind;
  readonly name: string;
  readonly worker: string;
  readonly project?: string | undefined;
}

const COLUMNS = ['kind', 'name', 'object_id as id', 'worker', 'used'] as const;

/** Which worker has which object, and who has a name: a tenant (`''`: the operator) has each name once in the pool. */
export class PlacementsRepository {
  readonly #db: PoolDatabase;
  readonly #tenant: string;

  constructor(db: PoolDatabase, tenant = '') {
    this.#db = db;
    this.#tenant = tenant;
  }

  /** Takes a name for an object that is about to be made; false when somebody has it. */
  async reserve({ kind, name, worker, project }: NewPlacement): Promise<boolean> {
    const result = await this.#db
      .insertInto('placements')
      .values({
        tenant: this.#tenant,
        kind,
        name,
        object_id: null,
        worker,
        project: project ?? null,
        used: 0,
        created_at: databaseNow(this.#db),
      })
      .onConflict((conflict) => conflict.columns(['tenant', 'kind', 'name']).doNothing())
      .executeTakeFirst();
    return (result.numInsertedOrUpdatedRows ?? 0n) === 1n;
  }

  /** The object with a reserved name is there. */
  async confirm(kind: PlacedKind, name: string, id: string): Promise<void> {
    await this.#db
      .deleteFrom('placements')
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('object_id', '=', id)
      .where((where) => where.or([where('name', 'is', null), where('name', '!=', name)]))
      .execute();
    await this.#db
      .updateTable('placements')
      .set({ object_id: id })
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('name', '=', name)
      .execute();
  }

  /** Gives a name back that came to nothing. */
  async release(kind: PlacedKind, name: string): Promise<void> {
    await this.#db
      .deleteFrom('placements')
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('name', '=', name)
      .where('object_id', 'is', null)
      .execute();
  }

  /** By ID, by name, by the beginning of an ID, in this order; more than one where that is ambiguous. */
  async find(kind: PlacedKind, reference: string): Promise<Placement[]> {
    const of = () =>
      this.#db
        .selectFrom('placements')
        .select(COLUMNS)
        .where('tenant', '=', this.#tenant)
        .where('kind', '=', kind);
    const exact = await of()
      .where((where) => where.or([where('object_id', '=', reference), where('name', '=', reference)]))
      .execute();
    if (exact.length > 0)
      return exact
        .toSorted((a, b) => rank(b, reference) - rank(a, reference))
        .slice(0, 1)
        .map(placementOf);
    if (kind === 'volume' || !/^[0-9a-f]{1,63}$/.test(reference)) return [];
    const rows = await of()
      .where('object_id', '>=', reference)
      .where('object_id', '<', `${reference}g`)
      .limit(2)
      .execute();
    return rows.map(placementOf);
  }

  /** Another name for an object; false when somebody has that. */
  async rename(kind: PlacedKind, id: string, name: string): Promise<boolean> {
    const result = await this.#db
      .updateTable('placements')
      .set({ name })
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('object_id', '=', id)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('placements as other')
              .select('other.key')
              .where('other.tenant', '=', this.#tenant)
              .where('other.kind', '=', kind)
              .where('other.name', '=', name),
          ),
        ),
      )
      .executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  /** What a worker turned out to have. Where its name is another's, it is found by its ID alone. */
  async adopt(placement: NewPlacement & { readonly id: string }): Promise<void> {
    const { kind, name, id, worker, project } = placement;
    const values = {
      tenant: this.#tenant,
      kind,
      object_id: id,
      worker,
      project: project ?? null,
      used: 1,
      created_at: databaseNow(this.#db),
    };
    const known = await this.#db
      .updateTable('placements')
      .set({ object_id: id })
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('worker', '=', worker)
      .where('name', '=', name)
      .executeTakeFirst();
    if (known.numUpdatedRows > 0n) return;
    for (const each of [name, null]) {
      await this.#db
        .insertInto('placements')
        .values({ ...values, name: each })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
  }

  /** The object is gone. */
  async forget(kind: PlacedKind, id: string): Promise<void> {
    await this.#db
      .deleteFrom('placements')
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('object_id', '=', id)
      .execute();
  }

  async markUsed(kind: PlacedKind, name: string): Promise<void> {
    await this.#db
      .updateTable('placements')
      .set({ used: 1 })
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('used', '=', 0)
      .where((where) => where.or([where('name', '=', name), where('object_id', '=', name)]))
      .execute();
  }

  /** Those of a kind that a worker is known to have. */
  async ofWorker(worker: string, kind: PlacedKind): Promise<Placement[]> {
    const rows = await this.#db
      .selectFrom('placements')
      .select(COLUMNS)
      .where('tenant', '=', this.#tenant)
      .where('worker', '=', worker)
      .where('kind', '=', kind)
      .execute();
    return rows.map(placementOf);
  }

  /** How many containers there are, those that are being made included. */
  async countContainers(): Promise<number> {
    const { count } = await this.#db
      .selectFrom('placements')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', 'container')
      .executeTakeFirstOrThrow();
    return Number(count);
  }

  /** When containers of these IDs got their names or were found, in milliseconds, by their IDs. */
  async madeAt(ids: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.#db
      .selectFrom('placements')
      .select(['object_id', 'created_at'])
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', 'container')
      .where('object_id', 'in', ids)
      .execute();
    return new Map(rows.map(({ object_id, created_at }) => [object_id!, created_at]));
  }

  /** Names that were reserved more than so many milliseconds ago for what never came. */
  async releaseOlder(age: number): Promise<void> {
    await this.#db
      .deleteFrom('placements')
      .where('object_id', 'is', null)
      .where('created_at', '<', sql<number>`${databaseNow(this.#db)} - ${age}`)
      .execute();
  }

  /** The worker where a Compose project is. */
  async workerOfProject(project: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('placements')
      .select('worker')
      .where('tenant', '=', this.#tenant)
      .where('project', '=', project)
      .orderBy('key')
      .limit(1)
      .executeTakeFirst();
    return row?.worker;
  }

  /** Where the newest network is that nothing uses yet: those that are made in a row are for one another. */
  async workerOfUnusedNetwork(): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('placements')
      .select('worker')
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', 'network')
      .where('used', '=', 0)
      .orderBy('key', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row?.worker;
  }

  /** How many containers each worker has, whoever's they are. */
  async loads(): Promise<Map<string, number>> {
    const rows = await this.#db
      .selectFrom('placements')
      .select(['worker', ({ fn }) => fn.countAll<number>().as('count')])
      .where('kind', '=', 'container')
      .groupBy('worker')
      .execute();
    return new Map(rows.map(({ worker, count }) => [worker, Number(count)]));
  }
}

interface Row {
  readonly kind: PlacedKind;
  readonly name: string | null;
  readonly id: string | null;
  readonly worker: string;
  readonly used: number;
}

function rank(row: Row, reference: string): number {
  return row.id === reference ? 2 : row.name === reference ? 1 : 0;
}

function placementOf({ used, ...row }: Row): Placement {
  return { ...row, isUsed: used !== 0 };
}

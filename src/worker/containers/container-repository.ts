import type { WorkerDatabase } from '#database/worker/open.ts';
import type { ContainerRecord } from './container.ts';

/** Containers on disk, oldest first. */
export class ContainerRepository {
  readonly #db: WorkerDatabase;

  constructor(db: WorkerDatabase) {
    this.#db = db;
  }

  async all(): Promise<{ record: ContainerRecord; removing: boolean }[]> {
    const rows = await this.#db
      .selectFrom('containers')
      .select(['record', 'name'])
      .orderBy('sequence')
      .execute();
    return rows.map((row) => ({ record: JSON.parse(row.record), removing: row.name === null }));
  }

  /** Without a name: it counts as being removed until an update gives it one. */
  async insertHidden(record: ContainerRecord): Promise<void> {
    await this.#db
      .insertInto('containers')
      .values({ id: record.id, name: null, record: JSON.stringify(record) })
      .execute();
  }

  async update(record: ContainerRecord): Promise<void> {
    await this.#db
      .updateTable('containers')
      .set({ name: record.name, record: JSON.stringify(record) })
      .where('id', '=', record.id)
      .execute();
  }

  /** Frees its name; the row stays until everything of the container is gone. */
  async markRemoving(id: string): Promise<void> {
    await this.#db.updateTable('containers').set({ name: null }).where('id', '=', id).execute();
  }

  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('containers').where('id', '=', id).execute();
  }
}

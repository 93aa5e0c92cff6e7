import type { Selectable } from 'kysely';
import type { WorkerDatabase } from '#database/worker/open.ts';
import type { VolumeTables } from '#database/worker/volumes-schema.ts';

/** A volume as it is remembered: without the place that its data has on this host. */
export interface VolumeRecord {
  readonly name: string;
  readonly createdAt: Date;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
}

/** Volumes and the containers that use them. */
export class VolumesRepository {
  readonly #database: WorkerDatabase;

  constructor(database: WorkerDatabase) {
    this.#database = database;
  }

  async get(name: string): Promise<VolumeRecord | undefined> {
    const row = await this.#database
      .selectFrom('volumes')
      .selectAll()
      .where('name', '=', name)
      .where('removing', '=', 0)
      .executeTakeFirst();
    return row && toRecord(row);
  }

  async list(): Promise<VolumeRecord[]> {
    const rows = await this.#database
      .selectFrom('volumes')
      .selectAll()
      .where('removing', '=', 0)
      .orderBy('name')
      .execute();
    return rows.map(toRecord);
  }

  async insert(record: VolumeRecord): Promise<void> {
    await this.#database
      .insertInto('volumes')
      .values({
        name: record.name,
        created_at: record.createdAt.toISOString(),
        labels_json: JSON.stringify(record.labels),
        options_json: JSON.stringify(record.options),
        anonymous: Number(record.anonymous),
        removing: 0,
      })
      .execute();
  }

  /** From here on it is gone for everybody, and its data must follow. */
  async markRemoving(name: string): Promise<void> {
    await this.#database.updateTable('volumes').set({ removing: 1 }).where('name', '=', name).execute();
  }

  /** Those whose removal was decided and not finished. */
  async removing(): Promise<string[]> {
    const rows = await this.#database
      .selectFrom('volumes')
      .select('name')
      .where('removing', '=', 1)
      .execute();
    return rows.map(({ name }) => name);
  }

  async delete(name: string): Promise<void> {
    await this.#database.deleteFrom('volumes').where('name', '=', name).execute();
  }

  async addUser(name: string, containerId: string): Promise<void> {
    await this.#database
      .insertInto('volume_users')
      .values({ volume: name, container_id: containerId })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  async removeUser(name: string, containerId: string): Promise<void> {
    await this.#database
      .deleteFrom('volume_users')
      .where('volume', '=', name)
      .where('container_id', '=', containerId)
      .execute();
  }

  async users(name: string): Promise<string[]> {
    const rows = await this.#database
      .selectFrom('volume_users')
      .select('container_id')
      .where('volume', '=', name)
      .execute();
    return rows.map((row) => row.container_id);
  }

  /** By volume; those without users are absent. */
  async allUsers(): Promise<Map<string, string[]>> {
    const users = new Map<string, string[]>();
    for (const row of await this.#database.selectFrom('volume_users').selectAll().execute()) {
      users.set(row.volume, [...(users.get(row.volume) ?? []), row.container_id]);
    }
    return users;
  }
}

function toRecord(row: Selectable<VolumeTables['volumes']>): VolumeRecord {
  return {
    name: row.name,
    createdAt: new Date(row.created_at),
    labels: JSON.parse(row.labels_json),
    options: JSON.parse(row.options_json),
    anonymous: row.anonymous === 1,
  };
}

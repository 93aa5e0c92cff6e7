import type { Kysely } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';
import type { Digest } from '#oci/digest.ts';
import type { ImageSource } from '#worker/images/image-source.ts';
import type { CacheRecord, CacheStore } from '../graph/cache-store.ts';
import { snapshotOf } from '../graph/result.ts';
import { BuildCacheRepository, type CacheRow } from './build-cache-repository.ts';
import type { CacheContents, CacheUsage } from './cache-contents.ts';

/** Before a record's ID, as a user of its layer. */
const USER_PREFIX = 'build-cache:';

export interface PruneRequest {
  /** Only what was last used before. */
  readonly unusedSince?: Date;
  /** Stop when no more than this is left. */
  readonly keepBytes?: number;
  readonly ids?: readonly string[];
}

/** The build cache in the worker's database; its layers are in the image store, which it keeps from dropping them. */
export class BuildCache implements CacheStore, CacheContents {
  readonly #rows: BuildCacheRepository;
  readonly #images: ImageSource;
  /** Records that a running build has used: it may still stand on their layers. */
  readonly #inUse = new Map<string, number>();

  constructor(ports: { database: Kysely<BuildTables>; images: ImageSource }) {
    this.#rows = new BuildCacheRepository(ports.database);
    this.#images = ports.images;
  }

  /**
   * The cache as one build sees it: what it uses is not pruned until it is disposed of, and all of it is last used
   * then, so that the steps of a chain grow old together.
   */
  forBuild(): CacheStore & AsyncDisposable {
    const used = new Set<string>();
    const hold = (id: string) => {
      if (used.has(id)) return;
      used.add(id);
      this.#inUse.set(id, (this.#inUse.get(id) ?? 0) + 1);
    };
    return {
      userOf: (id) => this.userOf(id),
      find: async (key) => {
        const record = await this.find(key);
        if (record) hold(record.id);
        return record;
      },
      save: async (record, keys) => {
        hold(record.id);
        await this.save(record, keys);
      },
      [Symbol.asyncDispose]: async () => {
        await this.#rows.used([...used], new Date().toISOString());
        for (const id of used) {
          const left = this.#inUse.get(id)! - 1;
          if (left > 0) this.#inUse.set(id, left);
          else this.#inUse.delete(id);
        }
      },
    };
  }

  userOf(recordId: string): string {
    return `${USER_PREFIX}${recordId}`;
  }

  async find(key: string): Promise<CacheRecord | undefined> {
    const row = await this.#rows.find(key);
    if (!row) return undefined;
    if (row.chain_id !== null && !(await this.#images.hasLayer(row.chain_id as Digest))) {
      await this.#remove(row);
      return undefined;
    }
    return recordOf(row);
  }

  async save(record: CacheRecord, keys: readonly string[]): Promise<void> {
    const created = record.createdAt.toISOString();
    const replaced = await this.#rows.save(
      {
        id: record.id,
        kind: record.kind,
        description: record.description,
        diff_ids: JSON.stringify(record.diffIds),
        chain_id: snapshotOf({ kind: 'layers', diffIds: record.diffIds }) ?? null,
        bytes: record.bytes,
        created_at: created,
        last_used_at: created,
        usage_count: 0,
      },
      keys,
    );
    for (const row of replaced) await this.#release(row);
  }

  async usage(): Promise<CacheUsage[]> {
    return (await this.#rows.all()).map((row) => ({
      id: row.id,
      type: 'regular',
      kind: row.kind,
      description: row.description,
      bytes: row.bytes,
      inUse: this.#inUse.has(row.id),
      createdAt: new Date(row.created_at),
      lastUsedAt: new Date(row.last_used_at),
      usageCount: row.usage_count,
    }));
  }

  async remove(id: string): Promise<number | undefined> {
    const { ids, bytes } = await this.prune({ ids: [id] });
    return ids.length > 0 ? bytes : undefined;
  }

  /** Forgets records that no build is using, least recently used first, and frees what no image has. */
  async prune(request: PruneRequest = {}): Promise<{ ids: string[]; bytes: number }> {
    const rows = await this.#rows.all();
    let left = rows.reduce((sum, row) => sum + row.bytes, 0);
    const removable = rows
      .filter((row) => !this.#inUse.has(row.id))
      .filter((row) => !request.ids || request.ids.some((id) => row.id.startsWith(id)))
      .filter((row) => !request.unusedSince || new Date(row.last_used_at) < request.unusedSince)
      .sort(leastUsedFirst);
    const ids: string[] = [];
    let bytes = 0;
    for (const row of removable) {
      if (request.keepBytes !== undefined && left <= request.keepBytes) break;
      left -= row.bytes;
      bytes += await this.#remove(row);
      ids.push(row.id);
    }
    return { ids, bytes };
  }

  /** Call once at start: releases layers that a killed build retained and never recorded. */
  async reconcile(): Promise<void> {
    const known = new Set((await this.#rows.all()).map((row) => this.userOf(row.id)));
    for (const { chainId, user } of await this.#images.layerUsers(USER_PREFIX)) {
      if (!known.has(user)) await this.#images.releaseLayer(chainId, user);
    }
  }

  async #remove(row: CacheRow): Promise<number> {
    // The row first: a record whose layer is gone would be a lie, a layer without a record is found at the next start.
    await this.#rows.delete(row.id);
    return this.#release(row);
  }

  async #release(row: CacheRow): Promise<number> {
    return row.chain_id === null ? 0 : this.#images.releaseLayer(row.chain_id as Digest, this.userOf(row.id));
  }
}

/** Among those used at the same time the later layers go first: nothing stands on them. */
function leastUsedFirst(a: CacheRow, b: CacheRow): number {
  const depth = (row: CacheRow) => row.diff_ids.length;
  return a.last_used_at.localeCompare(b.last_used_at) || depth(b) - depth(a);
}

function recordOf(row: CacheRow): CacheRecord {
  return {
    id: row.id,
    kind: row.kind as CacheRecord['kind'],
    description: row.description,
    diffIds: JSON.parse(row.diff_ids),
    bytes: row.bytes,
    createdAt: new Date(row.created_at),
  };
}

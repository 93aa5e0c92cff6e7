import { randomBytes } from 'node:crypto';
import type { Kysely } from 'kysely';
import { KeyedLock } from '#async/keyed-lock.ts';
import type { BuildTables } from '#database/worker/build-schema.ts';
import { chainIds } from '#oci/chain-id.ts';
import type { Digest } from '#oci/digest.ts';
import type { LayerStore } from '#worker/images/layer-store.ts';
import { type Holdable, Lease } from '../solve/lease.ts';
import type { LayersRef, Ref } from '../solve/ref.ts';
import type { CacheContents, CacheUsage } from './cache-contents.ts';
import type { CacheRecord, CacheStore, FinishedStep, LoadedRecord, SharedStep } from './cache-store.ts';
import { recordParents } from './record-parents.ts';
import { RecordRepository, type RecordRow } from './record-repository.ts';

/** What the cache needs of the image store. */
export type CachedLayers = Pick<LayerStore, 'pins' | 'pinStack' | 'retain' | 'release' | 'users' | 'find'>;

/** Not all of them are ops: the classic builder has steps that change the configuration alone. */
export type KeptStep = Omit<FinishedStep, 'kind'> & { readonly kind: FinishedStep['kind'] | 'config' };

/** Before a record's ID, as a user of its layers. */
const USER_PREFIX = 'build-record:';
const YOUNG_MS = 60_000;

/**
 * Finished steps in the worker's database. A record retains its layers in the image store until it is removed, so that
 * neither `rmi` nor a prune of images takes them away.
 */
export class LocalCache implements CacheStore, CacheContents {
  readonly #rows: RecordRepository;
  readonly #layers: CachedLayers;
  /** Records that builds stand on. */
  readonly #inUse = new Map<string, number>();
  /** A record is not removed while it is being loaded. */
  readonly #lock = new KeyedLock();

  constructor(ports: { database: Kysely<BuildTables>; layers: CachedLayers }) {
    this.#rows = new RecordRepository(ports.database);
    this.#layers = ports.layers;
  }

  async find(keys: readonly string[]): Promise<ReadonlyMap<string, CacheRecord>> {
    const rows = await this.#rows.find(keys);
    if (rows.size > 0) {
      const now = Date.now();
      const ids = [...new Set([...rows.values()].map((row) => row.id))];
      await this.#rows.touch(ids, new Date(now), new Date(now - YOUNG_MS));
    }
    return new Map([...rows].map(([key, row]) => [key, { id: row.id, outputs: decode(row.outputs) }]));
  }

  async load({ id, outputs }: CacheRecord): Promise<LoadedRecord | undefined> {
    return this.#lock.run(id, async () => {
      const known = await this.#rows.get(id);
      if (known && (await this.#allHere(outputs))) {
        await this.#rows.count(id, new Date());
        return { refs: outputs, lease: this.#hold(id, topsOf(outputs.map(chainsOf))) };
      }
      if (known) await this.#forget(id, outputs);
      return undefined;
    });
  }

  async save(step: KeptStep): Promise<Holdable> {
    return (await this.keep(step)).lease;
  }

  /** As `save`, with the record's ID if there is one. `unsent`: a registry is to have it, too. */
  async keep(
    { keys, kind, description, inputs, outputs, createdAt }: KeptStep,
    { unsent = false }: { unsent?: boolean } = {},
  ): Promise<{ id: string | undefined; lease: Holdable }> {
    const stacks = outputs.filter((output) => output.kind === 'layers').map(chainsOf);
    const tops = topsOf(stacks);
    const pins = await Promise.all(tops.map((top) => this.#layers.pinStack([top])));
    const unpin = () => {
      for (const { pin } of pins) pin[Symbol.dispose]();
    };
    const here = pins.every(({ present }) => present === 1);
    if (stacks.length < outputs.length || !here) {
      return { id: undefined, lease: new Lease(async () => unpin()) };
    }
    try {
      const id = randomBytes(16).toString('hex');
      for (const top of tops) await this.#layers.retain(top, userOf(id));
      const at = createdAt.toISOString();
      const row: RecordRow = {
        id,
        kind,
        description,
        outputs: encode(outputs as readonly LayersRef[]),
        bytes: await this.#bytesAdded(stacks, inputs),
        created_at: at,
        last_used_at: at,
        usage_count: 0,
        unsent: unsent ? 1 : 0,
      };
      const lease = this.#hold(id, tops);
      for (const replaced of await this.#rows.save(row, keys)) await this.remove(replaced.id);
      return { id, lease };
    } finally {
      unpin();
    }
  }

  async link(key: string, { id }: CacheRecord): Promise<void> {
    for (const replaced of await this.#rows.link(key, id)) await this.remove(replaced.id);
  }

  /** What the registry has yet to get, the oldest first, but for `others`. */
  async unsent(limit: number, others: readonly string[]): Promise<{ id: string; step: SharedStep }[]> {
    const rows = await this.#rows.unsent(limit, others);
    return rows.map(({ row: { id, kind, description, outputs, created_at }, keys }) => ({
      id,
      step: {
        keys,
        kind: kind as FinishedStep['kind'],
        description,
        outputs: decode(outputs),
        createdAt: new Date(created_at),
      },
    }));
  }

  /** The registry has it, or will never have it. */
  sent(id: string): Promise<void> {
    return this.#rows.sent(id);
  }

  async usage(): Promise<CacheUsage[]> {
    const rows = await this.#rows.all();
    const parents = recordParents(rows.map(({ id, outputs }) => ({ id, outputs: decode(outputs) })));
    return rows.map((row) => ({
      id: row.id,
      type: 'regular',
      kind: row.kind,
      description: row.description,
      bytes: row.bytes,
      inUse: this.#inUse.has(row.id),
      createdAt: new Date(row.created_at),
      lastUsedAt: new Date(row.last_used_at),
      usageCount: row.usage_count,
      parents: parents.get(row.id) ?? [],
    }));
  }

  remove(id: string): Promise<number | undefined> {
    return this.#lock.run(id, async () => {
      if (this.#inUse.has(id)) return undefined;
      const row = await this.#rows.get(id);
      return row && this.#forget(id, decode(row.outputs));
    });
  }

  /** Call once at start: removes what a killed build retained and never recorded, or had no time to remove. */
  async reconcile(): Promise<void> {
    for (const { id } of await this.#rows.replaced()) await this.remove(id);
    const known = new Set((await this.#rows.all()).map((row) => userOf(row.id)));
    for (const { chainId, user } of await this.#layers.users(USER_PREFIX)) {
      if (!known.has(user)) await this.#layers.release(chainId, user);
    }
  }

  async #allHere(outputs: readonly LayersRef[]): Promise<boolean> {
    for (const top of topsOf(outputs.map(chainsOf))) {
      if (!(await this.#layers.find(top))) return false;
    }
    return true;
  }

  async #forget(id: string, outputs: readonly LayersRef[]): Promise<number> {
    // The row first: a record without layers would be a lie, layers without a record are found at the next start.
    await this.#rows.delete(id);
    let bytes = 0;
    for (const top of topsOf(outputs.map(chainsOf))) bytes += await this.#layers.release(top, userOf(id));
    return bytes;
  }

  async #bytesAdded(stacks: readonly Digest[][], inputs: readonly Ref[]): Promise<number> {
    const before = new Set(inputs.filter((input) => input.kind === 'layers').flatMap(chainsOf));
    const added = [...new Set(stacks.flat())].filter((chainId) => !before.has(chainId));
    const rows = await Promise.all(added.map((chainId) => this.#layers.find(chainId)));
    return rows.reduce((sum, row) => sum + (row?.bytes ?? 0), 0);
  }

  #hold(id: string, tops: readonly Digest[]): Lease {
    this.#inUse.set(id, (this.#inUse.get(id) ?? 0) + 1);
    return new Lease(async () => {
      const left = this.#inUse.get(id)! - 1;
      if (left > 0) {
        this.#inUse.set(id, left);
        return;
      }
      this.#inUse.delete(id);
      // Whoever has used them had them kept for a while; the record keeps them now.
      for (const top of tops) this.#layers.pins.handedOver(top);
      // Replaced while it was in use.
      for (const row of await this.#rows.replaced([id])) await this.remove(row.id);
    });
  }
}

function userOf(id: string): string {
  return USER_PREFIX + id;
}

function chainsOf(ref: LayersRef): Digest[] {
  return chainIds(ref.layers.map((layer) => layer.diffId));
}

function topsOf(stacks: readonly (readonly Digest[])[]): Digest[] {
  return [...new Set(stacks.flatMap((stack) => stack.slice(-1)))];
}

function encode(outputs: readonly LayersRef[]): string {
  return JSON.stringify(
    outputs.map(({ layers }) =>
      layers.map(({ diffId, createdAt }) => (createdAt ? [diffId, createdAt] : [diffId])),
    ),
  );
}

function decode(text: string): LayersRef[] {
  const outputs = JSON.parse(text) as [Digest, string?][][];
  return outputs.map((layers) => ({
    kind: 'layers',
    layers: layers.map(([diffId, at]) => ({ diffId, ...(at !== undefined && { createdAt: new Date(at) }) })),
  }));
}

import { randomUUID } from 'node:crypto';
import { KeyedLock } from '#async/keyed-lock.ts';
import { invalid, isKind, notFound } from '#errors/errors.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { AppliedDiff, DiffApplier, DiffComparer, TarOptions } from '../snapshots/diff.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import type { LayerBlobs } from './layer-blobs.ts';
import { LayerPins } from './layer-pins.ts';
import type { LayerRepository, LayerRow } from './layer-repository.ts';

/** A layer that was unpacked by itself, and is not stacked on anything yet. */
export interface UnpackedLayer extends AppliedDiff {
  readonly snapshotKey: string;
}

export interface LayerStorePorts {
  readonly layers: LayerRepository;
  readonly snapshotter: Snapshotter;
  readonly applier: DiffApplier;
  readonly comparer: DiffComparer;
  readonly blobs: LayerBlobs;
}

const UNPACKING = 'unpack-';
/** Between making a layer and making an image of it; a build step takes no longer. */
const HAND_OVER_MS = 60 * 60 * 1000;

/**
 * Layers as committed snapshots named by chain ID. A layer stays while an image, a user of its own or another
 * snapshot stands on it, or somebody has pinned it.
 */
export class LayerStore {
  readonly pins = new LayerPins();
  readonly #ports: LayerStorePorts;
  /** Layers come and go one at a time. */
  readonly #lock = new KeyedLock<'layers'>();

  constructor(ports: LayerStorePorts) {
    this.#ports = ports;
  }

  /** Call once at start, after the snapshotter's own: drops half-unpacked layers and what is in one table only. */
  async reconcile(): Promise<void> {
    const { snapshotter, layers } = this.#ports;
    const committed = new Set<string>();
    const orphans: string[] = [];
    for await (const { key, kind } of snapshotter.walk()) {
      if (kind === 'committed') committed.add(key);
      if (kind === 'active' ? key.startsWith(UNPACKING) : !(await layers.find(key as Digest)))
        orphans.push(key);
    }
    for (const key of orphans.reverse()) {
      await snapshotter.remove(key).catch((error: unknown) => {
        if (!isKind(error, 'conflict')) throw error;
      });
    }
    const lost = (await layers.all()).filter((layer) => !committed.has(layer.chainId));
    await layers.forget(lost.map((layer) => layer.chainId));
  }

  async has(chainId: Digest): Promise<boolean> {
    return (await this.#ports.layers.find(chainId)) !== undefined;
  }

  find(chainId: Digest): Promise<LayerRow | undefined> {
    return this.#ports.layers.find(chainId);
  }

  /** Pins a stack of layers, bottom first, and answers how many of them are here, without a gap from the bottom. */
  async pinStack(chainIds: readonly Digest[]): Promise<{ pin: Disposable; present: number }> {
    return this.#lock.run('layers', async () => {
      const pin = this.pins.pin(chainIds);
      // From the top, which is mostly there: nothing below a layer is ever removed.
      let present = chainIds.length;
      while (present > 0 && !(await this.has(chainIds[present - 1]!))) present--;
      return { pin, present };
    });
  }

  /** Unpacks a layer's tar, compressed or not. The caller stacks or discards the result. Throws as `DiffApplier`. */
  async unpack(
    tar: AsyncIterable<Uint8Array>,
    options: { signal?: AbortSignal } = {},
  ): Promise<UnpackedLayer> {
    const snapshotKey = UNPACKING + randomUUID();
    await this.#ports.snapshotter.prepare(snapshotKey);
    try {
      return { snapshotKey, ...(await this.#ports.applier.apply(snapshotKey, tar, options)) };
    } catch (error) {
      await this.#ports.snapshotter.remove(snapshotKey);
      throw error;
    }
  }

  async discard(unpacked: UnpackedLayer): Promise<void> {
    await this.#ports.snapshotter.remove(unpacked.snapshotKey);
  }

  /** Puts an unpacked layer on top of `parent`; where that layer exists already, drops this copy of it. */
  async stack(unpacked: UnpackedLayer, parent: Digest | undefined): Promise<Digest> {
    const { snapshotKey, ...diff } = unpacked;
    const chainId = chainOf(parent, diff.diffId);
    await this.#publish(snapshotKey, { ...diff, chainId }, { parent });
    return chainId;
  }

  /**
   * Puts changes that are here in another stack on top of `parent` too, without copying them; undefined when they
   * are not here.
   */
  async graft(diffId: Digest, parent: Digest | undefined): Promise<Digest | undefined> {
    const { snapshotter, layers } = this.#ports;
    return this.#lock.run('layers', async () => {
      const source = await layers.findByDiff(diffId);
      if (!source) return undefined;
      const chainId = chainOf(parent, diffId);
      try {
        await snapshotter.graft(source.chainId, chainId, parent);
      } catch (error) {
        if (!isKind(error, 'conflict')) throw error;
      }
      await layers.insert({ ...source, chainId });
      return chainId;
    });
  }

  /**
   * Makes an active snapshot a layer; see `ImageSource.commitLayer`. `settle`: see `DiffComparer.digest`; `diff`: what
   * that would answer, if it is known.
   */
  async commit(
    snapshotKey: string,
    options: { user?: string; settle?: boolean; diff?: AppliedDiff } = {},
  ): Promise<LayerRow> {
    const info = await this.#ports.snapshotter.stat(snapshotKey);
    if (!info) throw notFound(`no such snapshot: ${snapshotKey}`);
    const diff = options.diff ?? (await this.#ports.comparer.digest(snapshotKey, options));
    const layer = { ...diff, chainId: chainOf(info.parent as Digest | undefined, diff.diffId) };
    this.pins.pinFor(layer.chainId, HAND_OVER_MS);
    await this.#publish(snapshotKey, layer, options);
    if (options.user !== undefined) this.pins.handedOver(layer.chainId);
    return layer;
  }

  /** The uncompressed tar of a layer, the same bytes that its diff ID is the digest of. Throws `not-found`. */
  async *tar(
    layer: Pick<LayerRow, 'chainId' | 'diffId'>,
    options: TarOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const stored = await this.#ports.blobs.tar(layer.diffId);
    yield* stored ?? this.#ports.comparer.tar(await this.#somewhere(layer), options);
  }

  /** The layer's own stack, or another one that has it. */
  async #somewhere({ chainId, diffId }: Pick<LayerRow, 'chainId' | 'diffId'>): Promise<Digest> {
    if (await this.has(chainId)) return chainId;
    return (await this.#ports.layers.findByDiff(diffId))?.chainId ?? chainId;
  }

  async retain(chainId: Digest, user: string): Promise<void> {
    await this.#ports.layers.retain(chainId, user);
    this.pins.handedOver(chainId);
  }

  /** Gives up everything that a user holds. */
  async releaseAll(user: string): Promise<void> {
    for (const chainId of await this.#ports.layers.heldBy(user)) await this.release(chainId, user);
  }

  /** Who holds what, for users whose name begins with `prefix`. */
  users(prefix: string): Promise<{ chainId: Digest; user: string }[]> {
    return this.#ports.layers.users(prefix);
  }

  async release(chainId: Digest, user: string): Promise<number> {
    await this.#ports.layers.release(chainId, user);
    return (await this.collect(chainId)).reduce((bytes, layer) => bytes + layer.bytes, 0);
  }

  /** Removes a layer, and those below it, as far as nobody needs them. Answers what it removed, top first. */
  async collect(top: Digest): Promise<LayerRow[]> {
    return this.#lock.run('layers', async () => {
      const removed: LayerRow[] = [];
      for (let chainId: Digest | undefined = top; chainId !== undefined; ) {
        const layer = this.pins.has(chainId) ? undefined : await this.#ports.layers.find(chainId);
        if (!layer) break;
        const info = await this.#ports.snapshotter.stat(chainId);
        if (!(await this.#ports.layers.deleteUnused(chainId))) break;
        if (!(await this.#removeSnapshot(layer))) break;
        removed.push(layer);
        await this.#ports.blobs.collect(layer.diffId);
        chainId = info?.parent as Digest | undefined;
      }
      return removed;
    });
  }

  /** Collects every layer that nobody needs. */
  async prune(): Promise<LayerRow[]> {
    const removed: LayerRow[] = [];
    for (const { chainId } of await this.#ports.layers.all()) removed.push(...(await this.collect(chainId)));
    return removed;
  }

  async #publish(
    snapshotKey: string,
    layer: LayerRow,
    options: { parent?: Digest | undefined; user?: string },
  ): Promise<void> {
    const { snapshotter, layers } = this.#ports;
    const parent = options.parent === undefined ? {} : { parent: options.parent };
    await this.#lock.run('layers', async () => {
      try {
        await snapshotter.commit(snapshotKey, layer.chainId, parent);
      } catch (error) {
        // Somebody else has made the same layer.
        if (!isKind(error, 'conflict')) throw error;
        await snapshotter.remove(snapshotKey);
      }
      await layers.insert(layer, options.user === undefined ? {} : { user: options.user });
    });
  }

  async #removeSnapshot(layer: LayerRow): Promise<boolean> {
    try {
      await this.#ports.snapshotter.remove(layer.chainId);
      return true;
    } catch (error) {
      if (!isKind(error, 'conflict')) throw error;
      // Somebody has just prepared a snapshot on it.
      await this.#ports.layers.insert(layer);
      return false;
    }
  }
}

export function chainOf(parent: Digest | undefined, diffId: Digest): Digest {
  return parent === undefined ? diffId : digestOf(`${parent} ${diffId}`);
}

/** Throws `invalid` when a layer is not the one that the image's configuration names. */
export function expectDiffId(unpacked: UnpackedLayer, expected: Digest): void {
  if (unpacked.diffId === expected) return;
  throw invalid(`layer has the diff ID ${unpacked.diffId}, but the image's configuration says ${expected}`);
}

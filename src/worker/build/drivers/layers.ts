import { unavailable } from '#errors/errors.ts';
import { chainIds } from '#oci/chain-id.ts';
import type { Digest } from '#oci/digest.ts';
import type { LayerStore } from '#worker/images/layer-store.ts';
import type { ProgressLine } from '#worker/images/progress.ts';
import type { LayerPuller } from '#worker/images/pull/layer-puller.ts';
import type { AppliedDiff } from '#worker/snapshots/diff.ts';
import type { OpContext } from '../solve/op-driver.ts';
import type { ProgressSink } from '../solve/progress.ts';
import type { LayersRef, RefLayer } from '../solve/ref.ts';
import { PullProgress } from './pull-progress.ts';

/** Longer than a step that stands on a layer, or a build between two of them. */
const USED_MS = 60 * 60 * 1000;

export interface RequireOptions {
  readonly signal: AbortSignal;
  /** Told of what is fetched, as of `vertex`. */
  readonly progress?: { readonly vertex: string; readonly sink: Pick<ProgressSink, 'status'> };
}

/** For what a driver does for a vertex. */
export function requiring(
  vertex: { readonly digest: string },
  { signal, progress }: Pick<OpContext, 'signal' | 'progress'>,
): RequireOptions {
  return { signal, progress: { vertex: vertex.digest, sink: progress } };
}

export interface LayersPorts {
  readonly layers: LayerStore;
  readonly puller: LayerPuller;
}

/**
 * Refs' layers as snapshots of this machine. What is lazy is brought when somebody first asks for its files; what is
 * here in another stack is put on this one without being copied.
 */
export class Layers {
  readonly #layers: LayerStore;
  readonly #puller: LayerPuller;

  constructor(ports: LayersPorts) {
    this.#layers = ports.layers;
    this.#puller = ports.puller;
  }

  /**
   * The chain ID of the snapshot that the ref is; undefined for an empty file system. It stays for an hour, as long
   * as a snapshot stands on it, or what `pin` answers is held. Throws as `LayerPuller.pull`, and `unavailable` for a
   * layer that is nowhere any more.
   */
  async require(ref: LayersRef, options: RequireOptions): Promise<Digest | undefined> {
    const chain = chainIds(ref.layers.map(({ diffId }) => diffId));
    const top = chain.at(-1);
    if (top === undefined) return undefined;
    const { pin, present } = await this.#layers.pinStack(chain);
    using _ = pin;
    for (let at = present; at < chain.length; ) at += await this.#bring(ref.layers, chain, at, options);
    this.#layers.pins.pinFor(top, USED_MS);
    return top;
  }

  /** Whether all of it is here, in this stack or in others. */
  async present(ref: LayersRef): Promise<boolean> {
    const chain = chainIds(ref.layers.map(({ diffId }) => diffId));
    const { pin, present } = await this.#layers.pinStack(chain);
    pin[Symbol.dispose]();
    return present === chain.length;
  }

  pin(snapshot: Digest): Disposable {
    return this.#layers.pins.pin([snapshot]);
  }

  /** Makes a layer of an active snapshot; `diff`, which is settled, is what it has changed, if that is known. */
  async commit(key: string, diff?: AppliedDiff): Promise<RefLayer> {
    const { diffId } = await this.#layers.commit(key, diff ? { diff } : { settle: true });
    return { diffId, createdAt: new Date() };
  }

  /** Brings the layer at a position, and those above it that come from the same place; answers how many. */
  async #bring(
    layers: readonly RefLayer[],
    chain: readonly Digest[],
    at: number,
    { signal, progress }: RequireOptions,
  ): Promise<number> {
    const below = chain[at - 1];
    if (await this.#layers.graft(layers[at]!.diffId, below)) return 1;
    const fetcher = layers[at]!.remote?.fetcher;
    if (!fetcher) throw unavailable(`the layer ${layers[at]!.diffId} is not here any more`);
    const wanted = [];
    for (let next = at; layers[next]?.remote?.fetcher === fetcher; next++) {
      const { diffId, remote } = layers[next]!;
      wanted.push({ descriptor: remote!.descriptor, diffId, chainId: chain[next]! });
    }
    const told = progress && new PullProgress(wanted, progress);
    const report = (line: ProgressLine) => told?.report(line);
    try {
      await this.#puller.pull(wanted, below, fetcher, { signal, progress: report });
    } catch (error) {
      if (!signal.aborted) fetcher.failed?.(wanted.map(({ descriptor }) => descriptor));
      throw error;
    }
    return wanted.length;
  }
}

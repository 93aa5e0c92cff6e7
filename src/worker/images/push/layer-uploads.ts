import { Semaphore } from '#async/semaphore.ts';
import { unlessGivenUp } from '#async/unless-given-up.ts';
import type { Fetcher } from '#distribution/fetcher.ts';
import type { Pusher } from '#distribution/pusher.ts';
import { canceled, isKind } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { ImageReference, RepositoryName } from '#oci/reference.ts';
import type { TarOptions } from '../../snapshots/diff.ts';
import type { LayerBlobs } from '../layer-blobs.ts';
import type { LayerBlob, LayerRepository, LayerRow } from '../layer-repository.ts';
import type { LayerStore } from '../layer-store.ts';
import { StreamedUpload } from './streamed-upload.ts';

/** The one that layers are brought to. */
export interface UploadRepository {
  readonly reference: ImageReference;
  readonly pusher: Pusher;
  readonly fetcher: Fetcher;
}

export interface LayerUploadsPorts {
  readonly repository: UploadRepository;
  readonly layers: LayerStore;
  readonly layerRows: LayerRepository;
  readonly blobs: LayerBlobs;
}

type StackedLayer = Pick<LayerRow, 'chainId' | 'diffId'>;

interface Upload {
  readonly layer: StackedLayer;
  notBefore: number;
  readonly blob: Promise<LayerBlob>;
  /** Once. */
  start(options: { background: boolean }): void;
  started: boolean;
}

/** Builds that are over sooner have nothing that competes with their steps… */
const LULL_MS = 1_000;
/** …but for layers that it takes long to bring; in bytes of their tar. */
const LARGE_BYTES = 8 * 1024 * 1024;
const HURRIED_AT_ONCE = 5;
/** A registry does not forget sooner what it has just been given. */
const REMEMBERED_MS = 10 * 60 * 1000;

/**
 * Brings layers to one repository of a registry behind the back of what goes on: one at a time, at a low pace, until
 * somebody waits for one. What is there, a push to any other repository of that registry mounts.
 */
export class LayerUploads {
  readonly repository: UploadRepository;
  readonly #ports: Omit<LayerUploadsPorts, 'repository'>;
  readonly #underWay = new Map<Digest, Upload>();
  #queue: Upload[] = [];
  readonly #there = new Map<Digest, { readonly blob: LayerBlob; readonly until: number }>();
  readonly #hurried = new Semaphore(HURRIED_AT_ONCE);
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #busy = false;

  constructor({ repository, ...ports }: LayerUploadsPorts) {
    this.repository = repository;
    this.#ports = ports;
  }

  /** Resolves with what the layer is there as, when its turn has come. Throws what kept it from getting there. */
  upload(layer: StackedLayer): Promise<LayerBlob> {
    const { diffId } = layer;
    const known = this.#there.get(diffId);
    if (known && known.until > Date.now()) return Promise.resolve(known.blob);
    const running = this.#underWay.get(diffId) ?? this.#enqueue(layer);
    return running.blob;
  }

  /**
   * Before a push to another repository of `domain`: what of the layer is under way, or waits, is brought now. Answers
   * the repository that it can be mounted from. Throws `canceled` alone.
   */
  async settled(diffId: Digest, domain: string, signal: AbortSignal): Promise<RepositoryName | undefined> {
    const { reference } = this.repository;
    if (domain !== reference.domain) return undefined;
    const upload = this.#underWay.get(diffId);
    if (upload) await this.#hurry(upload, signal);
    return this.#there.has(diffId) ? reference.path : undefined;
  }

  /**
   * For an image that is about to be pushed to `domain`: brings the layer now, and resolves with what it is there as.
   * undefined: that registry is another one, or it could not be brought. Throws `canceled` alone.
   */
  async now(layer: StackedLayer, domain: string, signal: AbortSignal): Promise<LayerBlob | undefined> {
    if (domain !== this.repository.reference.domain) return undefined;
    const blob = this.upload(layer);
    const upload = this.#underWay.get(layer.diffId);
    if (upload) await this.#hurry(upload, signal);
    return blob.catch(() => undefined);
  }

  /** Whether a blob is there, or is in another repository of the registry, from where it is mounted. */
  has(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#isThere(digest, signal);
  }

  /** The registry says that it is not there. */
  forget(diffId: Digest): void {
    this.#there.delete(diffId);
  }

  /** Gives up what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    for (const upload of this.#queue.splice(0)) upload.start({ background: true });
    await Promise.allSettled([...this.#underWay.values()].map(({ blob }) => blob));
  }

  async #hurry(upload: Upload, signal: AbortSignal): Promise<void> {
    upload.start({ background: false });
    await unlessGivenUp(upload.blob, { signal }).catch(() => undefined);
    if (signal.aborted) throw canceled();
  }

  #enqueue(layer: StackedLayer): Upload {
    const { diffId } = layer;
    const { promise, resolve, reject } = Promise.withResolvers<LayerBlob>();
    promise.catch(() => undefined);
    const upload: Upload = {
      layer,
      notBefore: Date.now() + LULL_MS,
      blob: promise,
      started: false,
      start: ({ background }) => {
        if (upload.started) {
          // Who compresses it already does so as fast as it can from now on.
          if (!background) this.#ports.blobs.hurry(diffId);
          return;
        }
        upload.started = true;
        const bring = () => this.#bring(layer, background);
        (background ? bring() : this.#hurried.run(bring))
          .then((blob) => {
            this.#remember(diffId, blob);
            resolve(blob);
          }, reject)
          .finally(() => this.#underWay.delete(diffId));
      },
    };
    this.#underWay.set(diffId, upload);
    this.#queue.push(upload);
    this.#pump();
    void this.#beginLarge(upload);
    return upload;
  }

  async #beginLarge(upload: Upload): Promise<void> {
    const row = await this.#ports.layers.find(upload.layer.chainId).catch(() => undefined);
    if (!row || row.tarBytes < LARGE_BYTES) return;
    upload.notBefore = Date.now();
    this.#pump();
  }

  #pump(): void {
    this.#queue = this.#queue.filter(({ started }) => !started);
    if (this.#busy || this.#queue.length === 0 || this.#stopping.signal.aborted) return;
    const next = this.#queue.reduce((first, it) => (it.notBefore < first.notBefore ? it : first));
    const wait = next.notBefore - Date.now();
    clearTimeout(this.#timer);
    if (wait > 0) {
      this.#timer = setTimeout(() => this.#pump(), wait).unref();
      return;
    }
    this.#busy = true;
    next.start({ background: true });
    const over = () => {
      this.#busy = false;
      this.#pump();
    };
    next.blob.then(over, over);
  }

  async #bring(layer: StackedLayer, background: boolean): Promise<LayerBlob> {
    const { layers, layerRows, blobs } = this.#ports;
    const { pusher, reference } = this.repository;
    const { signal } = this.#stopping;
    signal.throwIfAborted();
    using _ = layers.pins.pin([layer.chainId]);
    const follower = new StreamedUpload({ pusher }, { signal });
    const tar = (options: TarOptions) => layers.tar(layer, options);
    const compressed = blobs.compressed(layer.diffId, tar, { background, follower });
    // It is here a little later, which nobody has to wait for.
    const blob = await Promise.race([compressed, follower.arrived]);
    compressed.catch(() => undefined);
    signal.throwIfAborted();
    if (!follower.hasArrived && !(await this.#isThere(blob.digest, signal))) {
      await pusher.putBlob(blob, () => blobs.open(blob), { signal });
    }
    await layerRows.recordOrigin(blob.digest, reference.domain, reference.path);
    return blob;
  }

  async #isThere(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const { pusher, reference } = this.repository;
    if (await pusher.hasBlob(digest, { signal })) return true;
    for (const from of await this.#ports.layerRows.originsOf(digest, reference.domain)) {
      if (from !== reference.path && (await pusher.mountBlob(digest, from, { signal }))) return true;
    }
    return false;
  }

  #remember(diffId: Digest, blob: LayerBlob): void {
    const now = Date.now();
    for (const [known, { until }] of this.#there) {
      if (until > now) break;
      this.#there.delete(known);
    }
    this.#there.delete(diffId);
    this.#there.set(diffId, { blob, until: now + REMEMBERED_MS });
  }
}

/** It was gone before its turn came, or there is no time for it any more: nobody has to hear of that. */
export function isGivenUp(error: unknown): boolean {
  return isKind(error, 'not-found') || isKind(error, 'canceled') || (error as Error).name === 'AbortError';
}

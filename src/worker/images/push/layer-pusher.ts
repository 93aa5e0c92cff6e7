import { Semaphore } from '#async/semaphore.ts';
import type { Pusher } from '#distribution/pusher.ts';
import { canceled, isKind } from '#errors/errors.ts';
import type { ImageReference } from '#oci/reference.ts';
import type { TarOptions } from '../../snapshots/diff.ts';
import type { LayerBlobs } from '../layer-blobs.ts';
import type { LayerBlob, LayerRepository, LayerRow } from '../layer-repository.ts';
import type { LayerStore } from '../layer-store.ts';
import { ProgressMeter, type ProgressSink, statusLine } from '../progress.ts';
import type { LayerUploads } from './layer-uploads.ts';
import { StreamedUpload } from './streamed-upload.ts';

export interface LayerPusherPorts {
  readonly layers: LayerStore;
  readonly layerRows: LayerRepository;
  readonly blobs: LayerBlobs;
  /** What brings layers to a registry beforehand. */
  readonly uploads: LayerUploads | undefined;
}

export interface PushTarget {
  readonly reference: ImageReference;
  readonly pusher: Pusher;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Brings layers to a registry: a few at once, each only if it is not there, or next door, already. */
export class LayerPusher {
  readonly #ports: LayerPusherPorts;
  readonly #slots: Semaphore;

  constructor(ports: LayerPusherPorts, options: { concurrency: number }) {
    this.#ports = ports;
    this.#slots = new Semaphore(options.concurrency);
  }

  /** Answers the blobs that the layers are pushed as, in their order. */
  async push(layers: readonly LayerRow[], target: PushTarget): Promise<LayerBlob[]> {
    const ids = layers.map((layer) => layer.diffId.slice('sha256:'.length).slice(0, 12));
    for (const id of ids) await target.progress(statusLine(id, 'Preparing'));
    for (const id of ids.slice(5)) await target.progress(statusLine(id, 'Waiting'));
    const failed = new AbortController();
    const signal = AbortSignal.any([target.signal, failed.signal]);
    const results = await Promise.allSettled(
      layers.map((layer, i) =>
        this.#slots
          .run(() => this.#pushLayer(layer, ids[i]!, { ...target, signal }))
          .catch((error: unknown) => {
            failed.abort();
            throw error;
          }),
      ),
    );
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    if (failures.length > 0) throw failures.find((error) => !isKind(error, 'canceled')) ?? failures[0];
    return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  }

  async #pushLayer(layer: LayerRow, id: string, target: PushTarget): Promise<LayerBlob> {
    if (target.signal.aborted) throw canceled();
    const { domain, path } = target.reference;
    const beforehand = await this.#ports.uploads?.settled(layer.diffId, domain, target.signal);
    const meter = new ProgressMeter(target.progress, { id, status: 'Pushing', total: layer.tarBytes });
    // A layer that was not pushed before is nowhere to be found: it is sent while it is compressed.
    const follower = beforehand === undefined ? this.#streamed(meter, target) : undefined;
    const tar = (options: TarOptions) => this.#ports.layers.tar(layer, options);
    const blob = await this.#ports.blobs.compressed(layer.diffId, tar, {
      ...(follower && { follower }),
    });
    const mounted =
      beforehand !== undefined && beforehand !== path && (await this.#mount(blob, beforehand, target));
    const arrived = follower?.hasArrived ? 'Pushed' : undefined;
    const status = mounted
      ? `Mounted from ${beforehand}`
      : (arrived ?? (await this.#bring(blob, id, target)));
    await this.#ports.layerRows.recordOrigin(blob.digest, target.reference.domain, target.reference.path);
    await target.progress(statusLine(id, status));
    return blob;
  }

  #streamed(meter: ProgressMeter, { pusher, signal }: PushTarget): StreamedUpload {
    return new StreamedUpload({ pusher, report: (bytes) => meter.add(bytes) }, { signal });
  }

  #mount({ digest }: LayerBlob, from: string, { pusher, signal }: PushTarget): Promise<boolean> {
    return pusher.mountBlob(digest, from, { signal });
  }

  async #bring(
    blob: LayerBlob,
    id: string,
    { pusher, reference, progress, signal }: PushTarget,
  ): Promise<string> {
    if (await pusher.hasBlob(blob.digest, { signal })) return 'Layer already exists';
    for (const from of await this.#ports.layerRows.originsOf(blob.digest, reference.domain)) {
      if (from === reference.path) continue;
      if (await pusher.mountBlob(blob.digest, from, { signal })) return `Mounted from ${from}`;
    }
    await pusher.putBlob(blob, () => this.#metered(blob, id, progress), { signal });
    return 'Pushed';
  }

  async *#metered(blob: LayerBlob, id: string, progress: ProgressSink): AsyncGenerator<Uint8Array> {
    const meter = new ProgressMeter(progress, { id, status: 'Pushing', total: blob.size });
    for await (const chunk of await this.#ports.blobs.open(blob)) {
      yield chunk;
      meter.add(chunk.length);
    }
  }
}

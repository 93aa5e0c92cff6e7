import type { Pusher } from '#distribution/pusher.ts';
import type { Digest } from '#oci/digest.ts';
import type { ImageReference } from '#oci/reference.ts';
import type { LayerRepository } from '#worker/images/layer-repository.ts';
import type { LayerUploads } from '#worker/images/push/layer-uploads.ts';
import type { ExportedDocument } from './exported-document.ts';
import type { ExportedLayer } from './layer-export.ts';

export interface LayerPushPorts {
  readonly layerRows: LayerRepository;
  /** What brings layers to a registry beforehand. */
  readonly uploads: LayerUploads | undefined;
}

export interface PushTarget {
  readonly reference: ImageReference;
  readonly pusher: Pusher;
  readonly signal: AbortSignal;
}

/** Brings single blobs to a repository: what its registry has anywhere is not sent. */
export class LayerPush {
  readonly #ports: LayerPushPorts;

  constructor(ports: LayerPushPorts) {
    this.#ports = ports;
  }

  async layer({ descriptor, diffId, open }: ExportedLayer, target: PushTarget): Promise<void> {
    const { reference, pusher, signal } = target;
    const beforehand = await this.#ports.uploads?.settled(diffId, reference.domain, signal);
    if (!(await this.#isThere(descriptor.digest, target, beforehand))) {
      await pusher.putBlob(descriptor, () => open({ signal }), { signal });
    }
    await this.#ports.layerRows.recordOrigin(descriptor.digest, reference.domain, reference.path);
  }

  /** In the repository, or in one of the registry's that it can be mounted from. */
  async #isThere(
    digest: Digest,
    { reference, pusher, signal }: PushTarget,
    beforehand: string | undefined,
  ): Promise<boolean> {
    if (beforehand !== undefined && beforehand !== reference.path) {
      if (await pusher.mountBlob(digest, beforehand, { signal })) return true;
    }
    if (await pusher.hasBlob(digest, { signal })) return true;
    for (const from of await this.#ports.layerRows.originsOf(digest, reference.domain)) {
      if (from !== reference.path && (await pusher.mountBlob(digest, from, { signal }))) return true;
    }
    return false;
  }
}

/** A small blob. */
export async function putDocument(
  { descriptor, payload }: ExportedDocument,
  { pusher, signal }: Omit<PushTarget, 'reference'>,
): Promise<void> {
  if (await pusher.hasBlob(descriptor.digest, { signal })) return;
  await pusher.putBlob(
    descriptor,
    async function* () {
      yield payload;
    },
    { signal },
  );
}

/** Nothing is still under way when it throws. */
export async function allOrFirstFailure(tasks: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(tasks)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

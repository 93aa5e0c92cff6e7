import { Semaphore } from '#async/semaphore.ts';
import type { Pusher } from '#distribution/pusher.ts';
import type { Registries } from '#distribution/registries.ts';
import { type ImageReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import { fullRepository } from '#worker/images/image-name.ts';
import type { LayerRepository } from '#worker/images/layer-repository.ts';
import type { LayerUploads } from '#worker/images/push/layer-uploads.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { ExportStep } from './export-step.ts';
import type { ExportedDocument } from './exported-document.ts';
import type { ExportedResult } from './image-writer.ts';
import type { ExportedLayer } from './layer-export.ts';
import { registryCredentials } from './registry-credentials.ts';

const BLOBS_AT_ONCE = 5;

export interface ImagePushPorts {
  readonly registries: Registries;
  readonly layerRows: LayerRepository;
  /** What brings layers to a registry beforehand. */
  readonly uploads: LayerUploads | undefined;
}

export interface PushContext {
  readonly session: BuildSession;
  readonly step: ExportStep;
  readonly signal: AbortSignal;
}

/** Brings an exported image to a registry; of its layers only what the registry has nowhere. */
export class ImagePush {
  readonly #ports: ImagePushPorts;

  constructor(ports: ImagePushPorts) {
    this.#ports = ports;
  }

  async push(
    name: string,
    exported: ExportedResult,
    options: { byDigest: boolean },
    { session, step, signal }: PushContext,
  ): Promise<void> {
    const reference = withDefaultTag(parseImageReference(name));
    const credentials = await registryCredentials(session, reference.domain, signal);
    const pusher = this.#ports.registries.pusher(reference, credentials);
    const slots = new Semaphore(BLOBS_AT_ONCE);
    const layers = new Map(
      exported.images.flatMap((image) => image.layers.map((layer) => [layer.descriptor.digest, layer])),
    );
    await step.phase('pushing layers', async (report) => {
      let sent = 0;
      const total = [...layers.values()].reduce((sum, { descriptor }) => sum + descriptor.size, 0);
      const count = (bytes: number) => {
        sent += bytes;
        report(sent, total);
      };
      const blobs = [...layers.values()].map((layer) =>
        slots.run(() => this.#layer(layer, { reference, pusher, signal, count })),
      );
      const configs = [
        ...exported.images.map(({ config }) => config),
        ...exported.attestations.flatMap(({ blobs }) => blobs),
      ].map((document) => slots.run(() => putDocument(pusher, document, signal)));
      await allOrFirstFailure([...blobs, ...configs]);
    });
    const documents = [
      ...[...exported.images, ...exported.attestations].map(({ manifest }) => manifest),
      ...(exported.index ? [exported.index] : []),
    ];
    const tag = options.byDigest ? undefined : reference.tag;
    await step.phase(
      `pushing manifest for ${fullRepository(reference)}${tag ? `:${tag}` : ''}@${exported.root.digest}`,
      async () => {
        for (const { descriptor, payload } of documents) {
          const root = descriptor.digest === exported.root.digest;
          const under = root && tag ? tag : descriptor.digest;
          await pusher.putManifest(under, { mediaType: descriptor.mediaType, payload }, { signal });
        }
      },
    );
  }

  async #layer(
    { descriptor, diffId, open }: ExportedLayer,
    target: {
      reference: ImageReference;
      pusher: Pusher;
      signal: AbortSignal;
      count: (bytes: number) => void;
    },
  ): Promise<void> {
    const { reference, pusher, signal, count } = target;
    const beforehand = await this.#ports.uploads?.settled(diffId, reference.domain, signal);
    if (await this.#isThere(descriptor.digest, target, beforehand)) {
      count(descriptor.size);
    } else {
      const metered = async function* () {
        for await (const chunk of open({ signal })) {
          count(chunk.length);
          yield chunk;
        }
      };
      await pusher.putBlob(descriptor, metered, { signal });
    }
    await this.#ports.layerRows.recordOrigin(descriptor.digest, reference.domain, reference.path);
  }

  /** In the repository, or in one of the registry's that it can be mounted from. */
  async #isThere(
    digest: ExportedLayer['descriptor']['digest'],
    { reference, pusher, signal }: { reference: ImageReference; pusher: Pusher; signal: AbortSignal },
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

async function putDocument(
  pusher: Pusher,
  { descriptor, payload }: ExportedDocument,
  signal: AbortSignal,
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
async function allOrFirstFailure(tasks: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(tasks)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

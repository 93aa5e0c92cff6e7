import { Semaphore } from '#async/semaphore.ts';
import type { Registries } from '#distribution/registries.ts';
import { parseImageReference, withDefaultTag } from '#oci/reference.ts';
import { fullRepository } from '#worker/images/image-name.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { ExportStep } from './export-step.ts';
import type { ExportedResult } from './image-writer.ts';
import { allOrFirstFailure, LayerPush, type LayerPushPorts, putDocument } from './layer-push.ts';
import { registryCredentials } from './registry-credentials.ts';

const BLOBS_AT_ONCE = 5;

export interface ImagePushPorts extends LayerPushPorts {
  readonly registries: Registries;
}

export interface PushContext {
  readonly session: BuildSession;
  readonly step: ExportStep;
  readonly signal: AbortSignal;
}

/** Brings an exported image to a registry; of its layers only what the registry has nowhere. */
export class ImagePush {
  readonly #registries: Registries;
  readonly #layers: LayerPush;

  constructor(ports: ImagePushPorts) {
    this.#registries = ports.registries;
    this.#layers = new LayerPush(ports);
  }

  async push(
    name: string,
    exported: ExportedResult,
    options: { byDigest: boolean },
    { session, step, signal }: PushContext,
  ): Promise<void> {
    const reference = withDefaultTag(parseImageReference(name));
    const credentials = registryCredentials(session, reference.domain);
    const pusher = this.#registries.pusher(reference, credentials);
    const slots = new Semaphore(BLOBS_AT_ONCE);
    const layers = new Map(
      exported.images
        .flatMap((image) => image.layers)
        // What is elsewhere stays there.
        .filter(({ descriptor }) => !descriptor.urls)
        .map((layer) => [layer.descriptor.digest, layer]),
    );
    await step.phase('pushing layers', async () => {
      const blobs = [...layers.values()].map((layer) =>
        slots.run(() => this.#layers.layer(layer, { reference, pusher, signal })),
      );
      const configs = [
        ...exported.images.map(({ config }) => config),
        ...exported.attestations.flatMap(({ blobs }) => blobs),
      ].map((document) => slots.run(() => putDocument(document, { pusher, signal })));
      await allOrFirstFailure([...blobs, ...configs]);
    });
    const documents = [
      ...[...exported.images, ...exported.attestations].map(({ manifest }) => manifest),
      ...(exported.index ? [exported.index] : []),
    ];
    const tag = options.byDigest ? undefined : reference.tag;
    const target = `${fullRepository(reference)}${tag ? `:${tag}@${exported.root.digest}` : ''}`;
    await step.phase(`pushing manifest for ${target}`, async () => {
      for (const { descriptor, payload } of documents) {
        const root = descriptor.digest === exported.root.digest;
        const under = root && tag ? tag : descriptor.digest;
        await pusher.putManifest(under, { mediaType: descriptor.mediaType, payload }, { signal });
      }
    });
  }
}

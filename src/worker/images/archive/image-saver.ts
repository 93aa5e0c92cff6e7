import { notFound } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { familiarReference, type ImageReference, parseImageReference, type Tag } from '#oci/reference.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import { fullRepository } from '../image-name.ts';
import type { ImageRepository } from '../image-repository.ts';
import type { Image } from '../image-source.ts';
import type { ImageStore } from '../image-store.ts';
import { blobLocation } from '../layer-blobs.ts';
import type { LayerRow } from '../layer-repository.ts';
import type { LayerStore } from '../layer-store.ts';
import { createdAt } from '../list/image-lister.ts';

export interface ImageSaverPorts {
  readonly images: ImageRepository;
  readonly store: ImageStore;
  readonly layers: LayerStore;
  readonly events: EventPublisher;
}

interface SavedImage {
  readonly image: Image;
  readonly layers: readonly LayerRow[];
  readonly names: readonly (ImageReference & { tag: Tag })[];
  readonly manifest: Buffer;
}

/**
 * `docker save`: one archive that is an OCI image layout and has `manifest.json` for older readers, as current
 * engines write it. Layers are uncompressed, so their blobs are named by diff ID.
 */
export class ImageSaver {
  readonly #ports: ImageSaverPorts;

  constructor(ports: ImageSaverPorts) {
    this.#ports = ports;
  }

  /** Looks everything up before it answers, so that an unknown name is an error and no half archive. */
  async save(references: readonly string[]): Promise<AsyncIterable<Uint8Array>> {
    const saved = new Map<Digest, SavedImage>();
    for (const reference of references) {
      for (const { image, names } of await this.#select(reference)) {
        const before = saved.get(image.id);
        const layers = before?.layers ?? (await this.#ports.images.layers(image.id));
        const manifest = before?.manifest ?? manifestOf(image, layers);
        saved.set(image.id, { image, layers, manifest, names: [...(before?.names ?? []), ...names] });
      }
    }
    for (const { image } of saved.values()) {
      const attributes = { name: image.id };
      this.#ports.events.publish({ type: 'image', action: 'save', actor: { id: image.id, attributes } });
    }
    return writeTar(this.#files([...saved.values()]));
  }

  /** A name without tag means all tags of the repository; an ID has no name. */
  async #select(text: string): Promise<{ image: Image; names: (ImageReference & { tag: Tag })[] }[]> {
    const repository = repositoryOnly(text);
    if (repository) {
      const names = (await this.#ports.images.names()).filter(
        ({ name }) => fullRepository(parseImageReference(name)) === repository,
      );
      if (names.length > 0) {
        return Promise.all(
          names.map(async ({ name, imageId }) => ({
            image: await this.#ports.store.get(imageId),
            names: [parseImageReference(name) as ImageReference & { tag: Tag }],
          })),
        );
      }
    }
    const { image, byId, reference } = await this.#ports.store.lookUp(text).catch((error) => {
      throw error?.kind === 'not-found' ? notFound(`No such image: ${text}`, { cause: error }) : error;
    });
    const tagged = !byId && reference?.tag ? [reference as ImageReference & { tag: Tag }] : [];
    return [{ image, names: tagged }];
  }

  async *#files(saved: readonly SavedImage[]): AsyncGenerator<TarInput> {
    const written = new Set<Digest>();
    yield directory('blobs');
    yield directory('blobs/sha256');
    for (const { image, layers, manifest } of saved) {
      const mtime = Math.floor(createdAt(image.config) / 1000);
      for (const layer of layers) {
        if (written.has(layer.diffId)) continue;
        written.add(layer.diffId);
        yield file(blobLocation(layer.diffId), layer.tarBytes, this.#ports.layers.tar(layer), mtime);
      }
      for (const [digest, bytes] of [
        [image.id, image.rawConfig],
        [digestOf(manifest), manifest],
      ] as const) {
        if (written.has(digest)) continue;
        written.add(digest);
        yield file(blobLocation(digest), bytes.length, [bytes], mtime);
      }
    }
    yield json('index.json', index(saved));
    yield json('manifest.json', saved.map(dockerEntry));
    yield json('oci-layout', { imageLayoutVersion: '1.0.0' });
    yield json('repositories', legacyRepositories(saved));
  }
}

function manifestOf(image: Image, layers: readonly LayerRow[]): Buffer {
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: { mediaType: MEDIA_TYPE.ociConfig, digest: image.id, size: image.rawConfig.length },
    layers: layers.map((layer) => ({
      mediaType: MEDIA_TYPE.ociLayer,
      digest: layer.diffId,
      size: layer.tarBytes,
    })),
  };
  return Buffer.from(JSON.stringify(manifest));
}

function index(saved: readonly SavedImage[]): object {
  const manifests = saved.flatMap(({ manifest, names }): Descriptor[] => {
    const descriptor = {
      mediaType: MEDIA_TYPE.ociManifest,
      digest: digestOf(manifest),
      size: manifest.length,
    };
    if (names.length === 0) return [descriptor];
    return names.map((name) => ({
      ...descriptor,
      annotations: {
        'io.containerd.image.name': `${fullRepository(name)}:${name.tag}`,
        'org.opencontainers.image.ref.name': name.tag,
      },
    }));
  });
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
}

function dockerEntry({ image, layers, names }: SavedImage): object {
  return {
    Config: blobLocation(image.id),
    RepoTags: names.length > 0 ? names.map(familiarReference) : null,
    Layers: layers.map((layer) => blobLocation(layer.diffId)),
  };
}

/** What engines before 1.10 read: a tag's top layer. */
function legacyRepositories(saved: readonly SavedImage[]): Record<string, Record<string, string>> {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { names, layers } of saved) {
    const top = layers.at(-1)?.diffId.slice('sha256:'.length);
    for (const { tag, ...name } of top === undefined ? [] : names) {
      const familiar = familiarReference({ ...name, tag: undefined });
      repositories[familiar] = { ...repositories[familiar], [tag]: top! };
    }
  }
  return repositories;
}

function repositoryOnly(text: string): string | undefined {
  if (/^(?:sha256:)?[0-9a-f]{64}$/.test(text)) return undefined;
  const reference = parseImageReference(text);
  return reference.tag || reference.digest ? undefined : fullRepository(reference);
}

const OWNED = { uid: 0, gid: 0, mtime: 0 };

function directory(path: string): TarInput {
  return { entry: { ...OWNED, path, type: 'directory', mode: 0o755, size: 0 } };
}

function file(path: string, size: number, body: TarInput['body'], mtime: number): TarInput {
  return { entry: { ...OWNED, path, type: 'file', mode: 0o644, size, mtime }, body };
}

function json(path: string, value: unknown): TarInput {
  const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
  return file(path, bytes.length, [bytes], 0);
}

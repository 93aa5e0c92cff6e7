import type { FetchedManifest, Fetcher } from '#distribution/fetcher.ts';
import { invalid, unsupported } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { Manifest } from '#oci/manifest.ts';
import type { Platform } from '#oci/platform.ts';
import { MAX_CONFIG_BYTES, parseImageConfig } from '#worker/images/config-parser.ts';
import { parseManifest } from '#worker/images/pull/manifest-parser.ts';
import { selectManifest } from '#worker/images/pull/platform-selection.ts';
import { RememberedBytes } from './remembered-bytes.ts';

const MAX_INDEX_DEPTH = 4;
const MAX_BYTES = 32 * 1024 * 1024;

/** Where an image's documents come from: a repository of a registry's, or a store of a client's. */
export type DocumentSource = Pick<Fetcher, 'manifest' | 'smallBlob'>;

export interface ImageDocuments {
  /** Of the platform's manifest. */
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  /** The configuration, exactly. */
  readonly config: Uint8Array;
  /** Bottom first, as many as the manifest has layers. */
  readonly diffIds: readonly Digest[];
}

/** Reads manifests and configurations, without layers. What a digest names never changes, so it is kept in memory. */
export class ImageDocumentReader {
  readonly #known = new RememberedBytes(MAX_BYTES);

  /** What a digest names; asked for only once. */
  async manifest(source: DocumentSource, digest: Digest, signal: AbortSignal): Promise<FetchedManifest> {
    const known = this.#known.get(digest);
    if (known) return { mediaType: known.label, digest, payload: Buffer.from(known.bytes) };
    return this.remember(await source.manifest(digest, { signal }));
  }

  remember(fetched: FetchedManifest): FetchedManifest {
    this.#known.set(fetched.digest, { bytes: fetched.payload, label: fetched.mediaType });
    return fetched;
  }

  /** Follows an index to the platform's image. Throws `not-found`, `invalid`, `unsupported`. */
  async read(
    source: DocumentSource,
    root: FetchedManifest,
    { platform, signal }: { platform: Platform; signal: AbortSignal },
  ): Promise<ImageDocuments> {
    let fetched = root;
    for (let depth = 0; depth <= MAX_INDEX_DEPTH; depth++) {
      const parsed = parseManifest(fetched.mediaType, fetched.payload);
      if (parsed.kind === 'manifest') return this.#image(source, fetched, parsed.manifest, signal);
      const { digest } = selectManifest(parsed.index.manifests, platform);
      fetched = await this.manifest(source, digest, signal);
    }
    throw invalid('indexes are nested too deeply');
  }

  async #image(
    source: DocumentSource,
    { digest, mediaType, payload }: FetchedManifest,
    manifest: Manifest,
    signal: AbortSignal,
  ): Promise<ImageDocuments> {
    if (!/(container\.image|oci\.image\.config)\.v1\+json$/.test(manifest.config.mediaType)) {
      throw unsupported(`${digest} is no container image, but ${manifest.config.mediaType}`);
    }
    const config = await this.#config(source, manifest.config, signal);
    const { diff_ids: diffIds } = parseImageConfig(config).rootfs;
    if (manifest.layers.length !== diffIds.length) {
      throw invalid(
        `invalid image: its manifest has ${manifest.layers.length} layers, its configuration ${diffIds.length}`,
      );
    }
    return { descriptor: { mediaType, digest, size: payload.length }, manifest, config, diffIds };
  }

  async #config(source: DocumentSource, descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
    const known = this.#known.get(descriptor.digest);
    if (known) return known.bytes;
    const bytes = await source.smallBlob(descriptor, MAX_CONFIG_BYTES, { signal });
    if (digestOf(bytes) !== descriptor.digest)
      throw invalid(`blob verification failed for ${descriptor.digest}`);
    this.#known.set(descriptor.digest, { bytes, label: descriptor.mediaType });
    return bytes;
  }
}

import type { Credentials } from '#distribution/authorizer.ts';
import type { FetchedManifest, Fetcher } from '#distribution/fetcher.ts';
import type { Registries } from '#distribution/registries.ts';
import { canceled, invalid, isKind, messageOf, notFound, unavailable, unsupported } from '#errors/errors.ts';
import { chainIds } from '#oci/chain-id.ts';
import type { Digest } from '#oci/digest.ts';
import type { Manifest } from '#oci/manifest.ts';
import { formatPlatform, hostPlatform, type Platform, platformMatches } from '#oci/platform.ts';
import { familiarReference, type ImageReference, type Tag, withDefaultTag } from '#oci/reference.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import { MAX_CONFIG_BYTES, parseImageConfig } from '../config-parser.ts';
import { fullName, fullRepository } from '../image-name.ts';
import type { ImageRepository } from '../image-repository.ts';
import type { Image } from '../image-source.ts';
import type { ImageStore } from '../image-store.ts';
import type { LayerRepository } from '../layer-repository.ts';
import type { LayerStore } from '../layer-store.ts';
import { orderedProgress } from '../ordered-progress.ts';
import { type ProgressSink, statusLine } from '../progress.ts';
import { recordOrigins } from './blob-origins.ts';
import type { LayerPuller, WantedLayer } from './layer-puller.ts';
import { parseManifest } from './manifest-parser.ts';
import { selectManifest } from './platform-selection.ts';
import { explainPullError } from './pull-error.ts';

export interface PullerPorts {
  readonly registries: Registries;
  readonly images: ImageRepository;
  readonly store: ImageStore;
  readonly layers: LayerStore;
  readonly layerRows: LayerRepository;
  readonly layerPuller: LayerPuller;
  readonly events: EventPublisher;
}

export interface PullOptions {
  readonly platform?: Platform;
  readonly credentials?: Credentials;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal;
}

const MAX_INDEX_DEPTH = 4;

/** `docker pull`. */
export class Puller {
  readonly #ports: PullerPorts;

  constructor(ports: PullerPorts) {
    this.#ports = ports;
  }

  /** Brings one image, `latest` when the reference names neither tag nor digest. Throws in Docker's words. */
  async pull(named: ImageReference, options: PullOptions = {}): Promise<Image> {
    const reference = withDefaultTag(named);
    const progress = orderedProgress(options.progress);
    const signal = options.signal ?? new AbortController().signal;
    try {
      const image = await this.#pull(reference, { ...options, progress: progress.sink, signal });
      this.#publish(reference);
      return image;
    } catch (error) {
      throw explainPullError(error, reference);
    } finally {
      await progress.settled();
    }
  }

  /** Brings every tag of a repository. */
  async pullAll(named: ImageReference, options: PullOptions = {}): Promise<void> {
    const { source } = await this.#find(named, options, (fetcher, quick) =>
      fetcher.tags({ ...quick, ...withSignal(options) }),
    ).catch((error) => {
      throw explainPullError(error, named);
    });
    const tags = await source;
    if (tags.length === 0) throw notFound(`repository ${familiarReference(named)} has no tags`);
    for (const tag of tags) await this.pull({ ...named, tag: tag as Tag }, options);
  }

  async #pull(
    reference: ImageReference,
    options: PullOptions & { progress: ProgressSink; signal: AbortSignal },
  ): Promise<Image> {
    const wanted = reference.digest ?? reference.tag!;
    const { fetcher, source: root } = await this.#find(reference, options, (candidate, quick) =>
      candidate.manifest(wanted, { ...quick, signal: options.signal }),
    );
    await options.progress({ status: `Pulling from ${reference.path}`, id: String(wanted) });
    const { fetched, manifest } = await this.#selectPlatform(root, fetcher, options, 0);
    const before = await this.#ports.images.imageNamed(fullName(reference));
    const image = await this.#bring(reference, manifest, fetcher, options);
    await this.#record(reference, image.id, { root, fetched, manifest, fetcher });
    await options.progress({ status: `Digest: ${root.digest}` });
    const name = familiarReference(reference);
    await options.progress({
      status:
        before === image.id || (reference.digest && image.existed)
          ? `Status: Image is up to date for ${name}`
          : `Status: Downloaded newer image for ${name}`,
    });
    return image;
  }

  /** Asks mirrors, then the registry itself; what a mirror lacks, or cannot be asked, is looked up at the next. */
  async #find<T>(
    reference: ImageReference,
    options: PullOptions,
    ask: (fetcher: Fetcher, quick: { attempts?: number }) => Promise<T>,
  ): Promise<{ fetcher: Fetcher; source: T }> {
    const fetchers = this.#ports.registries.fetchers(reference, options.credentials);
    const refusals: string[] = [];
    for (const fetcher of fetchers.slice(0, -1)) {
      try {
        // One that does not answer is passed over soon.
        return { fetcher, source: await ask(fetcher, { attempts: 2 }) };
      } catch (error) {
        if (options.signal?.aborted) throw canceled();
        refusals.push(`mirror ${fetcher.origin.host}: ${messageOf(error)}`);
      }
    }
    const fetcher = fetchers.at(-1)!;
    try {
      return { fetcher, source: await ask(fetcher, {}) };
    } catch (cause) {
      // Where the registry cannot be reached at all, what the mirrors said is the answer.
      if (refusals.length === 0 || !isKind(cause, 'unavailable')) throw cause;
      throw unavailable(`${cause.message} (${refusals.join('; ')})`, { cause });
    }
  }

  async #selectPlatform(
    fetched: FetchedManifest,
    fetcher: Fetcher,
    options: PullOptions,
    depth: number,
  ): Promise<{ fetched: FetchedManifest; manifest: Manifest }> {
    const parsed = parseManifest(fetched.mediaType, fetched.payload);
    if (parsed.kind === 'manifest') return { fetched, manifest: parsed.manifest };
    if (depth >= MAX_INDEX_DEPTH) throw invalid('indexes are nested too deeply');
    const { digest } = selectManifest(parsed.index.manifests, options.platform ?? hostPlatform());
    return this.#selectPlatform(await fetcher.manifest(digest, options), fetcher, options, depth + 1);
  }

  async #bring(
    reference: ImageReference,
    manifest: Manifest,
    fetcher: Fetcher,
    options: PullOptions & { progress: ProgressSink; signal: AbortSignal },
  ): Promise<Image & { existed: boolean }> {
    if (!/(container\.image|oci\.image\.config)\.v1\+json$/.test(manifest.config.mediaType)) {
      throw unsupported(
        `${familiarReference(reference)} is no container image, but ${manifest.config.mediaType}`,
      );
    }
    const known = await this.#ports.images.find(manifest.config.digest);
    const rawConfig =
      known?.rawConfig ?? (await fetcher.smallBlob(manifest.config, MAX_CONFIG_BYTES, options));
    const config = parseImageConfig(rawConfig);
    if (options.platform && !platformMatches(options.platform, config)) {
      const wanted = formatPlatform(options.platform);
      throw notFound(
        `image with reference ${familiarReference(reference)} was found but does not provide the specified platform (${wanted})`,
      );
    }
    const wanted = wantedLayers(manifest, config.rootfs.diff_ids);
    const { pin, present } = await this.#ports.layers.pinStack(wanted.map((layer) => layer.chainId));
    try {
      for (const [i, { descriptor }] of wanted.entries()) {
        const status = i < present ? 'Already exists' : 'Pulling fs layer';
        await options.progress(statusLine(shortDigest(descriptor.digest), status));
      }
      await this.#ports.layerPuller.pull(
        wanted.slice(present),
        wanted[present - 1]?.chainId,
        fetcher,
        options,
      );
      return { ...(await this.#ports.store.create(rawConfig)), existed: known !== undefined };
    } finally {
      pin[Symbol.dispose]();
    }
  }

  async #record(
    reference: ImageReference,
    id: Digest,
    { root, fetched, manifest, fetcher }: PulledImage,
  ): Promise<void> {
    const { images, layerRows } = this.#ports;
    await images.saveManifest(id, fetched);
    await recordOrigins(manifest.layers, reference, fetcher, layerRows);
    await images.setDigest(fullRepository(reference), root.digest, id);
    if (reference.tag && !reference.digest) await images.setName(fullName(reference), id, root.digest);
  }

  #publish(reference: ImageReference): void {
    const name = familiarReference(reference);
    const attributes = { name: familiarReference({ ...reference, tag: undefined, digest: undefined }) };
    this.#ports.events.publish({ type: 'image', action: 'pull', actor: { id: name, attributes } });
  }
}

interface PulledImage {
  readonly root: FetchedManifest;
  readonly fetched: FetchedManifest;
  readonly manifest: Manifest;
  readonly fetcher: Fetcher;
}

function withSignal({ signal }: PullOptions): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

function wantedLayers(manifest: Manifest, diffIds: readonly Digest[]): WantedLayer[] {
  if (manifest.layers.length !== diffIds.length) {
    throw invalid(
      `invalid image: its manifest has ${manifest.layers.length} layers, its configuration ${diffIds.length}`,
    );
  }
  const chain = chainIds(diffIds);
  return manifest.layers.map((descriptor, i) => ({ descriptor, diffId: diffIds[i]!, chainId: chain[i]! }));
}

function shortDigest(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, 12);
}

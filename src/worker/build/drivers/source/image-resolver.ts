import { SharedFlight } from '#async/shared-flight.ts';
import type { Fetcher } from '#distribution/fetcher.ts';
import type { Registries } from '#distribution/registries.ts';
import { canceled, invalid, isKind, messageOf, notFound, unavailable } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import { type Platform, platformMatches } from '#oci/platform.ts';
import { type ImageReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import { fullName, fullRepository } from '#worker/images/image-name.ts';
import type { ImageRepository } from '#worker/images/image-repository.ts';
import type { Image } from '#worker/images/image-source.ts';
import type { ImageStore } from '#worker/images/image-store.ts';
import type { LayerRepository } from '#worker/images/layer-repository.ts';
import { recordOrigins } from '#worker/images/pull/blob-origins.ts';
import { explainPullError } from '#worker/images/pull/pull-error.ts';
import { registryCredentials } from '../../export/registry-credentials.ts';
import type { ResolvedImage } from '../../frontend/frontend.ts';
import type { AttestationChain } from '../../policy/source-meta.ts';
import type { BuildSession } from '../../session/build-session.ts';
import type { BlobFetcher, LayersRef } from '../../solve/ref.ts';
import { readAttestations } from './attestation-chain.ts';
import { type DocumentSource, ImageDocumentReader, type ImageDocuments } from './image-documents.ts';
import { SessionContent } from './session-content.ts';

export interface ResolveOptions {
  readonly platform: Platform;
  readonly mode: 'default' | 'pull' | 'local';
  readonly session: BuildSession;
  readonly signal: AbortSignal;
  /** A content store of the client's to look in. */
  readonly store?: string;
}

/** What a reference was found to be. */
export interface FoundImage extends ResolvedImage {
  /** As many as it has; those that are not here yet know where they are. */
  readonly layers: LayersRef;
}

/** What was found in a session, and what is being looked for. */
interface Answers {
  readonly known: Map<string, unknown>;
  readonly flights: SharedFlight<unknown, never>;
}

export interface ImageResolverPorts {
  readonly registries: Registries;
  readonly store: ImageStore;
  readonly images: ImageRepository;
  readonly layerRows: LayerRepository;
  /** Has an image that other machines have be here too, under its name. */
  readonly bring?: ((reference: string, signal: AbortSignal) => Promise<unknown>) | undefined;
}

/**
 * Finds images by reference: those of this machine first, unless they are to be pulled, then mirrors, then the
 * registry. Brings no layers. Within a session, a reference stands for one and the same image, and is asked for once.
 */
export class ImageResolver {
  readonly #ports: ImageResolverPorts;
  readonly #documents = new ImageDocumentReader();
  readonly #sessions = new WeakMap<BuildSession, Answers>();

  constructor(ports: ImageResolverPorts) {
    this.#ports = ports;
  }

  /** Throws `not-found` and `unavailable` in Docker's words. */
  async resolve(reference: string, options: ResolveOptions): Promise<FoundImage> {
    const { mode, store = '' } = options;
    const session = sessionOf(options);
    const keyOf = (name: string) => JSON.stringify([name, options.platform, mode, store]);
    const { known } = this.#answersFor(session);
    return this.#once(session, keyOf(reference), options.signal, async (signal) => {
      const found = await this.#resolve(reference, { ...options, signal });
      // What a tag was found to be is asked for by its digest next, when it is built on.
      known.set(keyOf(found.reference), found);
      return found;
    });
  }

  async #resolve(text: string, options: ResolveOptions): Promise<FoundImage> {
    const reference = withDefaultTag(parseImageReference(text));
    if (options.store !== undefined) return this.#inStore(reference, options.store, options);
    if (options.mode !== 'pull') await this.#ports.bring?.(text, options.signal);
    const local = options.mode === 'pull' ? undefined : await this.#local(reference, options.platform);
    if (local) return local;
    try {
      return await this.#remote(reference, options);
    } catch (error) {
      throw explainPullError(error, reference);
    }
  }

  async #local(reference: ImageReference, platform: Platform): Promise<FoundImage | undefined> {
    const image = await this.#localImage(reference);
    if (!image || !platformMatches(platform, image.config)) return undefined;
    const digests = await this.#ports.images.digests(image.id);
    const repository = fullRepository(reference);
    const digest =
      reference.digest ?? digests.find((known) => known.repository === repository)?.digest ?? image.id;
    const layers = image.config.rootfs.diff_ids.map((diffId) => ({ diffId }));
    return {
      reference: nameOf(reference, digest),
      digest,
      config: image.rawConfig,
      layers: { kind: 'layers', layers },
    };
  }

  async #localImage(reference: ImageReference): Promise<Image | undefined> {
    const { images, store } = this.#ports;
    const { digest } = reference;
    const id = digest
      ? ((await images.imageWithDigest(fullRepository(reference), digest)) ?? digest)
      : await images.imageNamed(fullName(reference));
    if (!id || !(await images.find(id))) return undefined;
    return store.get(id);
  }

  /**
   * What is stated of an image, and who has signed it; undefined: it has no index that could say so. Registries are asked,
   * whatever is here.
   */
  async attestations(
    text: string,
    { predicates, ...options }: ResolveOptions & { readonly predicates: readonly string[] },
  ): Promise<AttestationChain | undefined> {
    const { signal, platform } = options;
    const reference = withDefaultTag(parseImageReference(text));
    const fetchers = await this.#fetchers(reference, options);
    const { fetcher, found } = await this.#ask(fetchers, signal, (candidate, quick) =>
      candidate.manifest(reference.digest ?? reference.tag!, { ...quick, signal }),
    );
    return readAttestations(fetcher, found, { platform, predicates, signal });
  }

  /** A blob's bytes, unverified. Throws `not-found`. */
  async *blob(
    text: string,
    options: Pick<ResolveOptions, 'session' | 'signal' | 'store'>,
  ): AsyncGenerator<Uint8Array> {
    const reference = parseImageReference(text);
    const { digest } = reference;
    if (!digest) throw invalid(`a blob needs a digest: ${nameOf(reference)}`);
    const { session, signal, store } = options;
    if (store !== undefined) {
      const size = Number.MAX_SAFE_INTEGER;
      yield* new SessionContent(session, `oci:${store}`).blob({ digest, size }, { signal });
      return;
    }
    const fetchers = await this.#fetchers(reference, options);
    const { fetcher, found: size } = await this.#ask(fetchers, signal, async (candidate, quick) => {
      const known = await candidate.blobSize(digest, { ...quick, signal });
      if (known === undefined) throw notFound(`${nameOf(reference, digest)}: not found`);
      return known;
    });
    yield* fetcher.blob({ digest, size }, { signal });
  }

  #fetchers(
    reference: ImageReference,
    options: Pick<ResolveOptions, 'session' | 'signal' | 'store'>,
  ): Promise<readonly Fetcher[]> {
    const { session, signal } = options;
    return this.#once(sessionOf(options), `fetchers ${fullRepository(reference)}`, signal, async () =>
      this.#ports.registries.fetchers(reference, registryCredentials(session, reference.domain)),
    );
  }

  async #remote(reference: ImageReference, options: ResolveOptions): Promise<FoundImage> {
    const { signal } = options;
    const fetchers = await this.#fetchers(reference, options);
    const wanted = reference.digest ?? reference.tag!;
    const { fetcher, found } = await this.#ask(fetchers, signal, async (candidate, quick) => {
      const { digest } = reference;
      if (digest) return this.#documents.manifest(candidate, digest, signal);
      return this.#documents.remember(await candidate.manifest(wanted, { ...quick, signal }));
    });
    const documents = await this.#documents.read(fetcher, found, options);
    await recordOrigins(documents.manifest.layers, reference, fetcher, this.#ports.layerRows);
    return foundImage(reference, found.digest, documents, fetcher);
  }

  async #inStore(reference: ImageReference, store: string, options: ResolveOptions): Promise<FoundImage> {
    const { session, signal } = options;
    if (!reference.digest) throw invalid(`an oci-layout image needs a digest: ${nameOf(reference)}`);
    // One for all: layers that have the same are brought together.
    const content = await this.#once(
      session,
      `store ${store}`,
      signal,
      // Clients put this before the names of stores that are image layouts (BuildKit, client/solve.go).
      async () => new SessionContent(session, `oci:${store}`),
    );
    const root = await this.#documents.manifest(content, reference.digest, signal);
    return foundImage(reference, root.digest, await this.#documents.read(content, root, options), content);
  }

  /** Mirrors first; what a mirror lacks, or cannot be asked, is looked up at the next. */
  async #ask<T>(
    fetchers: readonly Fetcher[],
    signal: AbortSignal,
    ask: (fetcher: Fetcher, quick: { attempts?: number }) => Promise<T>,
  ): Promise<{ fetcher: Fetcher; found: T }> {
    const refusals: string[] = [];
    for (const fetcher of fetchers.slice(0, -1)) {
      try {
        return { fetcher, found: await ask(fetcher, { attempts: 2 }) };
      } catch (error) {
        if (signal.aborted) throw canceled();
        refusals.push(`mirror ${fetcher.origin.host}: ${messageOf(error)}`);
      }
    }
    const fetcher = fetchers.at(-1);
    if (!fetcher) throw notFound('there is no registry to ask');
    try {
      return { fetcher, found: await ask(fetcher, {}) };
    } catch (cause) {
      if (refusals.length === 0 || !isKind(cause, 'unavailable')) throw cause;
      throw unavailable(`${cause.message} (${refusals.join('; ')})`, { cause });
    }
  }

  /** Within a session; what failed is tried again. Who gives up leaves the others waiting for it. */
  async #once<T>(
    session: BuildSession,
    key: string,
    signal: AbortSignal,
    task: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { known, flights } = this.#answersFor(session);
    if (known.has(key)) return known.get(key) as T;
    const result = await flights.run(key, (flight) => task(flight.signal), { signal });
    known.set(key, result);
    return result as T;
  }

  #answersFor(session: BuildSession): Answers {
    const answers = this.#sessions.get(session) ?? { known: new Map(), flights: new SharedFlight() };
    this.#sessions.set(session, answers);
    return answers;
  }
}

/** Whose answers are remembered together. A content store is read by way of whoever is there. */
function sessionOf({ session, store }: Pick<ResolveOptions, 'session' | 'store'>): BuildSession {
  return store === undefined ? (session.original ?? session) : session;
}

function foundImage(
  reference: ImageReference,
  digest: Digest,
  { descriptor, manifest, config, diffIds }: ImageDocuments,
  fetcher: DocumentSource & BlobFetcher,
): FoundImage {
  const layers = manifest.layers.map((layer, at) => ({
    diffId: diffIds[at]!,
    remote: { descriptor: layer, fetcher },
  }));
  return {
    reference: nameOf(reference, digest),
    digest,
    config,
    manifest: descriptor,
    layers: { kind: 'layers', layers },
  };
}

function nameOf(reference: ImageReference, digest?: Digest): string {
  const tag = reference.tag ? `:${reference.tag}` : '';
  return `${fullRepository(reference)}${tag}${digest ? `@${digest}` : ''}`;
}

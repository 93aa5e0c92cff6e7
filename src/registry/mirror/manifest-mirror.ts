import type { Logger } from 'pino';
import { SingleFlight } from '#async/single-flight.ts';
import { invalid, isKind, messageOf, unavailable } from '#errors/errors.ts';
import { algorithmOf, type Digest, digestOf, isDigest } from '#oci/digest.ts';
import { bareMediaType } from '#oci/media-type.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import { SYSTEM } from '../events/event.ts';
import type { ManifestReference, Manifests } from '../manifests/manifests.ts';
import { Absences } from './absences.ts';
import type { MirroredTag, MirrorRepository } from './mirror-repository.ts';
import type { CountResult } from './mirror-requests.ts';
import type { Mirrored } from './mirror-rules.ts';
import type { UpstreamManifest } from './upstream.ts';

/** An upstream that failed is not asked about the same tag again for so many milliseconds, as long as we have one. */
const STALE_PAUSE = 10_000;
const REMEMBERED = 10_000;

export interface ManifestMirrorOptions {
  /** How many milliseconds a tag is served without asking upstream. */
  readonly freshness: number;
  /** How many milliseconds it is remembered that upstream does not have something. */
  readonly absence: number;
}

interface Wanted extends Mirrored {
  readonly repository: RepositoryName;
  readonly signal: AbortSignal;
}

/**
 * Sees to it that manifests of mirrored repositories are here before they are looked up. Tags are checked when they are
 * older than they may be; one whose upstream is out of reach goes on being what it was. Clients that want the same
 * thing at once have it fetched once.
 */
export class ManifestMirror {
  readonly #manifests: Manifests;
  readonly #mirrored: MirrorRepository;
  readonly #logger: Logger;
  readonly #count: CountResult;
  readonly #options: ManifestMirrorOptions;
  readonly #absences: Absences;
  readonly #paused = new Absences({ life: STALE_PAUSE, limit: REMEMBERED });
  readonly #flights = new SingleFlight<void>();

  constructor(
    ports: { manifests: Manifests; mirrored: MirrorRepository; logger: Logger; count: CountResult },
    options: ManifestMirrorOptions,
  ) {
    this.#manifests = ports.manifests;
    this.#mirrored = ports.mirrored;
    this.#logger = ports.logger;
    this.#count = ports.count;
    this.#options = options;
    this.#absences = new Absences({ life: options.absence, limit: REMEMBERED });
  }

  /** What is not there afterwards is not there upstream. Throws `unavailable` or `too-many` when there is no telling. */
  async freshen(wanted: Wanted, reference: ManifestReference): Promise<void> {
    const { repository } = wanted;
    const text = 'tag' in reference ? reference.tag : reference.digest;
    const key = `${repository} ${text}`;
    if (this.#absences.has(key)) return this.#count('absent');
    if ('tag' in reference) {
      const known = await this.#mirrored.tag(repository, reference.tag);
      if (known && this.#isFresh(known, wanted, key)) return this.#count('hit');
      await this.#flights.run(key, () => this.#freshenTag(wanted, reference.tag, key, known));
    } else {
      if (await this.#has(repository, reference.digest)) return this.#count('hit');
      await this.#flights.run(key, () => this.#fetchDigest(wanted, reference.digest, key));
    }
  }

  #isFresh(known: MirroredTag, { pure }: Wanted, key: string): boolean {
    // Pushed here, where that can be: it is ours, whatever upstream has under that name.
    if (!pure && !known.fetched) return true;
    return Date.now() - known.checkedAt < this.#options.freshness || this.#paused.has(key);
  }

  async #freshenTag(wanted: Wanted, tag: Tag, key: string, known: MirroredTag | undefined): Promise<void> {
    const { repository, upstreamName, upstreams, signal } = wanted;
    try {
      const current =
        known && (await upstreams.ask((it, options) => it.resolve(upstreamName, tag, options), { signal }));
      if (known && current === known.manifest) {
        await this.#mirrored.confirmTag(repository, tag, current);
        this.#count('revalidated');
        return;
      }
      const manifest = await upstreams.ask(
        async (it, options) => verified(await it.manifest(upstreamName, tag, options)),
        { signal },
      );
      await this.#store(repository, manifest, tag);
      this.#count('miss');
    } catch (error) {
      if (isKind(error, 'not-found')) await this.#vanished(repository, tag, key, known);
      else if (!known) throw error;
      else {
        this.#paused.add(key);
        this.#count('stale');
        this.#logger.warn(
          { repository, tag, reason: messageOf(error) },
          'serving a tag that could not be checked',
        );
      }
    }
  }

  async #fetchDigest(wanted: Wanted, digest: Digest, key: string): Promise<void> {
    const { repository, upstreamName, upstreams, signal } = wanted;
    try {
      const manifest = await upstreams.ask(
        async (it, options) => verified(await it.manifest(upstreamName, digest, options), digest),
        { signal },
      );
      await this.#store(repository, manifest);
      this.#count('miss');
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
      this.#absences.add(key);
    }
  }

  /** What came from upstream is marked as that before a tag says it, thus a crash between leaves nothing astray. */
  async #store(
    repository: RepositoryName,
    manifest: UpstreamManifest & { digest: Digest },
    tag?: Tag,
  ): Promise<void> {
    const { digest, payload } = manifest;
    const push = { payload, contentType: bareMediaType(manifest.mediaType), sparse: true, actor: SYSTEM };
    try {
      await this.#manifests.put(repository, { digest }, push);
      await this.#mirrored.addManifest(repository, digest);
      if (tag === undefined) return;
      await this.#manifests.put(repository, { digest }, { ...push, tags: [tag] });
      await this.#mirrored.confirmTag(repository, tag, digest);
    } catch (cause) {
      if (!isKind(cause, 'invalid')) throw cause;
      throw unavailable(`upstream has a manifest that cannot be stored: ${messageOf(cause)}`, { cause });
    }
  }

  async #vanished(
    repository: RepositoryName,
    tag: Tag,
    key: string,
    known: MirroredTag | undefined,
  ): Promise<void> {
    this.#absences.add(key);
    if (!known) return;
    await this.#manifests.delete(repository, { tag }, SYSTEM).catch((error: unknown) => {
      // Immutable, or somebody else was here.
      if (!isKind(error, 'conflict') && !isKind(error, 'not-found')) throw error;
    });
  }

  async #has(repository: RepositoryName, digest: Digest): Promise<boolean> {
    return await this.#manifests.get(repository, { digest }).then(
      () => true,
      (error: unknown) => {
        if (isKind(error, 'not-found')) return false;
        throw error;
      },
    );
  }
}

/** The manifest with the digest that it has. Throws `invalid` when that is not the one asked for, or said. */
function verified(manifest: UpstreamManifest, wanted?: Digest): UpstreamManifest & { digest: Digest } {
  const said = wanted ?? (manifest.digest && isDigest(manifest.digest) ? manifest.digest : undefined);
  const digest = digestOf(manifest.payload, said && algorithmOf(said));
  if (said !== undefined && digest !== said) {
    throw invalid(`upstream sent a manifest with the digest ${digest} for ${said}`);
  }
  return { ...manifest, digest };
}

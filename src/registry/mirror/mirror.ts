import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Blob } from '../blobs/blobs.ts';
import type { ManifestReference } from '../manifests/manifests.ts';
import type { BlobMirror } from './blob-mirror.ts';
import type { ManifestMirror } from './manifest-mirror.ts';
import type { MirrorExpiry } from './mirror-expiry.ts';
import type { MirrorRules } from './mirror-rules.ts';

/** Repositories that are pulled through from other registries. */
export class Mirror {
  readonly #rules: MirrorRules;
  readonly #manifests: ManifestMirror;
  readonly #blobs: BlobMirror;
  readonly #expiry: MirrorExpiry;
  readonly #stopping = new AbortController();

  constructor(ports: {
    rules: MirrorRules;
    manifests: ManifestMirror;
    blobs: BlobMirror;
    expiry: MirrorExpiry;
  }) {
    this.#rules = ports.rules;
    this.#manifests = ports.manifests;
    this.#blobs = ports.blobs;
    this.#expiry = ports.expiry;
  }

  /** Where a repository of another registry is here, if that is mirrored. */
  nameOf(namespace: string, repository: string): string | undefined {
    return this.#rules.nameOf(namespace, repository);
  }

  /** Whether the repository is pulled through. */
  mirrors(repository: RepositoryName): boolean {
    return this.#rules.find(repository) !== undefined;
  }

  /** Whether the repository has what upstream has and nothing else, so that nothing can be pushed to it. */
  isPure(repository: RepositoryName): boolean {
    return this.#rules.find(repository)?.pure === true;
  }

  /** To be called before a manifest is looked up. Throws `unavailable` or `too-many`. */
  async freshen(repository: RepositoryName, reference: ManifestReference): Promise<void> {
    const found = this.#rules.find(repository);
    if (!found) return;
    await this.#manifests.freshen({ ...found, repository, signal: this.#stopping.signal }, reference);
  }

  /** A blob of a repository that is mirrored; undefined for all others. Throws as `BlobMirror.get`. */
  async blob(
    repository: RepositoryName,
    digest: Digest,
    options: { head: boolean },
  ): Promise<Blob | undefined> {
    const found = this.#rules.find(repository);
    if (!found) return undefined;
    return await this.#blobs.get({ ...found, repository, signal: this.#stopping.signal }, digest, options);
  }

  /** Lets go of what nobody pulled for long; returns how many manifests that were. */
  async expire(signal: AbortSignal): Promise<number> {
    return await this.#expiry.run(signal);
  }

  /** Breaks off what is under way. */
  stop(): void {
    this.#stopping.abort();
  }
}

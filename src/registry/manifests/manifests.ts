import { invalid, notFound } from '#errors/errors.ts';
import { algorithmOf, type Digest, digestOf } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import type { TagsRepository } from '../tags/tags-repository.ts';
import { parseManifestDocument } from './manifest-document.ts';
import { manifestWarnings } from './manifest-warnings.ts';
import type { ManifestsRepository, StoredManifest, TagCondition } from './manifests-repository.ts';

/** What names a manifest in its repository. */
export type ManifestReference = { readonly digest: Digest } | { readonly tag: Tag };

export interface ManifestPush {
  readonly payload: Uint8Array;
  readonly contentType?: string | undefined;
  readonly tags?: readonly Tag[];
  readonly condition?: TagCondition | undefined;
  /** Whether it may come without its config and layers; as the options say when it is not said. */
  readonly sparse?: boolean | undefined;
  readonly actor: Actor;
}

export interface ManifestsOptions {
  /** Whether images may be pushed without their config and layers. */
  readonly sparseImages?: boolean | undefined;
}

export class Manifests {
  readonly #manifests: ManifestsRepository;
  readonly #tags: TagsRepository;
  readonly #options: ManifestsOptions;

  constructor(
    ports: { manifests: ManifestsRepository; tags: TagsRepository },
    options: ManifestsOptions = {},
  ) {
    this.#manifests = ports.manifests;
    this.#tags = ports.tags;
    this.#options = options;
  }

  /** Throws `not-found`, `MANIFEST_UNKNOWN`. */
  async get(repository: RepositoryName, reference: ManifestReference): Promise<StoredManifest> {
    const found =
      'tag' in reference
        ? await this.#manifests.findByTag(repository, reference.tag)
        : await this.#manifests.findByDigest(repository, reference.digest);
    if (!found) throw unknown(reference);
    return found;
  }

  /**
   * Stores a manifest under its digest and its tags. Throws `invalid` (`MANIFEST_INVALID`, `DIGEST_INVALID`), or
   * `not-found` (`MANIFEST_BLOB_UNKNOWN`) when a blob of it was not pushed; the manifests of an index and the
   * subject may be missing. `warnings` are for whoever pushed.
   */
  async put(
    repository: RepositoryName,
    reference: ManifestReference,
    push: ManifestPush,
  ): Promise<{ digest: Digest; subject: Digest | undefined; warnings: string[] }> {
    const { payload, contentType, tags = [], condition, actor } = push;
    const wanted = 'digest' in reference ? reference.digest : undefined;
    const digest = digestOf(payload, wanted && algorithmOf(wanted));
    if (wanted && wanted !== digest) {
      throw invalid('provided digest did not match uploaded content', {
        code: 'DIGEST_INVALID',
        detail: { expected: wanted, actual: digest },
      });
    }
    const document = parseManifestDocument(payload, contentType);
    const allTags = [...new Set('tag' in reference ? [reference.tag, ...tags] : tags)];
    const sparse = push.sparse ?? this.#options.sparseImages;
    const { missing } = await this.#manifests.put(
      { repository, digest, payload, document, tags: allTags, condition, sparse },
      actor,
    );
    return { digest, subject: document.subject, warnings: manifestWarnings(document, allTags, missing) };
  }

  /**
   * By digest: the manifest and its tags. By tag: the tag alone. Throws `not-found`, `MANIFEST_UNKNOWN`; `conflict`
   * when a tag is immutable, unless that is not to matter: to an administrator.
   */
  async delete(
    repository: RepositoryName,
    reference: ManifestReference,
    actor: Actor,
    options: { evenImmutable?: boolean } = {},
  ): Promise<void> {
    const deleted =
      'tag' in reference
        ? await this.#tags.delete(repository, reference.tag, actor, options)
        : await this.#manifests.delete(repository, reference.digest, actor, options);
    if (!deleted) throw unknown(reference);
  }
}

function unknown(reference: ManifestReference) {
  return notFound('manifest unknown', { code: 'MANIFEST_UNKNOWN', detail: reference });
}

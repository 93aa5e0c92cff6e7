import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';
import { isIndexType } from '#oci/media-type.ts';
import type { RepositoryName } from '#oci/reference.ts';
import { referrersTag } from '#oci/referrers-tag.ts';
import type { ManifestsRepository } from '../manifests/manifests-repository.ts';
import { listedReferrers } from './listed-referrers.ts';
import type { ReferrersQuery, ReferrersRepository } from './referrers-repository.ts';

/** What one answer holds at most: manifests bring annotations of any size along. */
const PAGE = { entries: 1000, bytes: 4 * 1024 * 1024 };

/** What refers to a manifest (OCI distribution-spec, "Listing Referrers"). */
export class Referrers {
  readonly #referrers: ReferrersRepository;
  readonly #manifests: ManifestsRepository;

  constructor(ports: { referrers: ReferrersRepository; manifests: ManifestsRepository }) {
    this.#referrers = ports.referrers;
    this.#manifests = ports.manifests;
  }

  /** A page of descriptors, by digest. `last` of the next query is the last one's digest if there are `more`. */
  async list(
    repository: RepositoryName,
    subject: Digest,
    query: ReferrersQuery,
  ): Promise<{ descriptors: Descriptor[]; more: boolean }> {
    const [pushed, listed] = await Promise.all([
      this.#referrers.page(repository, subject, query, PAGE),
      this.#listed(repository, subject, query),
    ]);
    // What comes after the last one of a page that is cut off belongs to a later page.
    const end = pushed.more ? pushed.descriptors.at(-1)!.digest : undefined;
    const all = [...pushed.descriptors, ...listed.filter(({ digest }) => end === undefined || digest < end)];
    const descriptors = firstOf(all.sort((a, b) => (a.digest < b.digest ? -1 : 1)));
    return { descriptors, more: pushed.more || descriptors.length < all.length };
  }

  /** From the index that clients keep under the subject's referrers tag: what is there and names no other subject. */
  async #listed(repository: RepositoryName, subject: Digest, query: ReferrersQuery): Promise<Descriptor[]> {
    const index = await this.#manifests.findByTag(repository, referrersTag(subject));
    if (!index || !isIndexType(index.mediaType)) return [];
    const { artifactType, last = '' } = query;
    const listed = listedReferrers(index.payload).filter(
      (entry) => entry.digest > last && (artifactType === undefined || entry.artifactType === artifactType),
    );
    const apt = await this.#referrers.withoutSubject(
      repository,
      listed.map(({ digest }) => digest),
    );
    return listed.filter(({ digest }) => apt.has(digest));
  }
}

function firstOf(descriptors: readonly Descriptor[]): Descriptor[] {
  let bytes = 0;
  const past = descriptors.findIndex((descriptor, index) => {
    bytes += Buffer.byteLength(JSON.stringify(descriptor));
    return index > 0 && (bytes > PAGE.bytes || index >= PAGE.entries);
  });
  return descriptors.slice(0, past < 0 ? descriptors.length : past);
}

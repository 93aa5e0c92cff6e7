import type { Access } from '#auth/access.ts';
import type { ContentReader, ContentStore } from '#content/content-store.ts';
import { isKind, notFound } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import type { BlobsRepository } from './blobs-repository.ts';

/** How many repositories with a blob are looked at for one that the client may pull from. */
const MOUNT_SOURCES = 1000;

/** A blob as a repository may see it. */
export interface Blob {
  /** In bytes. */
  readonly size: number;
  /** The whole, or the bytes from `start` to `end` inclusive. The caller reads to the end or returns early. */
  open(range?: { start: number; end: number }): Promise<ContentReader>;
  /** A URL at which the bytes can be had for a while, without us; undefined where there is none. */
  link(): Promise<string | undefined>;
}

export class Blobs {
  readonly #blobs: BlobsRepository;
  readonly #content: ContentStore;

  constructor(ports: { blobs: BlobsRepository; content: ContentStore }) {
    this.#blobs = ports.blobs;
    this.#content = ports.content;
  }

  /** Throws `not-found`, `BLOB_UNKNOWN`. */
  async get(repository: RepositoryName, digest: Digest): Promise<Blob> {
    const found = await this.#blobs.find(repository, digest);
    if (!found) throw unknown(digest);
    const open = (range?: { start: number; end: number }) =>
      this.#content.open(found.location, range).catch((error: unknown) => {
        // Recorded and not there: whoever pushes it again puts it right.
        throw isKind(error, 'not-found') ? unknown(digest, error) : error;
      });
    return { size: found.size, open, link: () => this.#content.link(found.location) };
  }

  /**
   * Shows a blob that one repository may see to another one, without a byte moving. Without `from`, any repository
   * that the caller may pull from will do. False when there is no such blob.
   */
  async mount(
    repository: RepositoryName,
    digest: Digest,
    options: { from?: RepositoryName | undefined; access: Access; actor: Actor },
  ): Promise<boolean> {
    const { from: only, access, actor } = options;
    const sources = await this.#blobs.seenBy(digest, { only, limit: MOUNT_SOURCES });
    const from = (sources as RepositoryName[]).find((name) => access.mounts(name));
    if (from === undefined) return false;
    return await this.#blobs.mount({ repository, digest, from }, actor);
  }

  /** Takes a blob out of a repository. Throws `not-found`, `BLOB_UNKNOWN`. */
  async delete(repository: RepositoryName, digest: Digest, actor: Actor): Promise<void> {
    if (!(await this.#blobs.unlink(repository, digest, actor))) throw unknown(digest);
  }
}

function unknown(digest: Digest, cause?: unknown) {
  return notFound('blob unknown to registry', { code: 'BLOB_UNKNOWN', detail: { digest }, cause });
}

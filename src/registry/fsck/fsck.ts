import type { ContentStore } from '#content/content-store.ts';
import { isKind } from '#errors/errors.ts';
import { algorithmOf, type Digest, Digester } from '#oci/digest.ts';
import type { BlobsRepository } from '../blobs/blobs-repository.ts';
import { parseManifestDocument } from '../manifests/manifest-document.ts';
import type { Finding } from './finding.ts';
import type { FsckRepository, MissingLink, RecordedBlob } from './fsck-repository.ts';

const PAGE = 500;

export interface FsckOptions {
  /** Puts right what can be put right without a loss. */
  readonly repair: boolean;
  /** Reads all content, and compares it with its digest. */
  readonly deep: boolean;
  /** Content without an owner is left alone until it is this old, in milliseconds: a push may be about to own it. */
  readonly strayAge: number;
  readonly signal?: AbortSignal;
}

/** Compares metadata and storage, while both are in use. */
export class Fsck {
  readonly #repository: FsckRepository;
  readonly #blobs: BlobsRepository;
  readonly #content: ContentStore;

  constructor(ports: { repository: FsckRepository; blobs: BlobsRepository; content: ContentStore }) {
    this.#repository = ports.repository;
    this.#blobs = ports.blobs;
    this.#content = ports.content;
  }

  async *check(options: FsckOptions): AsyncGenerator<Finding> {
    yield* this.#checkBlobs(options);
    yield* this.#checkStrays(options);
    yield* this.#checkManifests(options);
    yield* this.#checkUsage(options);
  }

  async *#checkBlobs(options: FsckOptions): AsyncGenerator<Finding> {
    for (let last = ''; ; ) {
      const page = await this.#repository.blobs(PAGE, last);
      for (const blob of page) {
        options.signal?.throwIfAborted();
        const wrong = await this.#wrong(blob, options.deep);
        // It may have been collected, or pushed again, since the page was read.
        if (!wrong || !(await this.#repository.isAt(blob))) continue;
        const repaired = options.repair && (await this.#repository.forget(blob));
        const remedy = 'the blob is forgotten, so that it can be pushed again';
        yield { ...wrong, what: blob.digest, remedy, repaired };
      }
      if (page.length < PAGE) return;
      last = page.at(-1)!.digest;
    }
  }

  async #wrong(blob: RecordedBlob, deep: boolean): Promise<Pick<Finding, 'kind' | 'detail'> | undefined> {
    const stat = await this.#content.stat(blob.location);
    if (!stat) return { kind: 'content-missing', detail: `nothing at ${blob.location}` };
    if (stat.size !== blob.size) {
      return {
        kind: 'content-size',
        detail: `${stat.size} bytes at ${blob.location}, expected ${blob.size}`,
      };
    }
    if (!deep) return undefined;
    const actual = await this.#digest(blob).catch((error: unknown) => {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    });
    if (actual === blob.digest) return undefined;
    return { kind: 'content-digest', detail: `${blob.location} is ${actual}` };
  }

  async #digest({ digest, location }: RecordedBlob): Promise<Digest> {
    const digester = new Digester(algorithmOf(digest as Digest));
    const content = await this.#content.open(location);
    await content.each(async (chunk) => digester.update(chunk));
    return digester.digest();
  }

  async *#checkStrays({ repair, strayAge, signal }: FsckOptions): AsyncGenerator<Finding> {
    const before = Date.now() - strayAge;
    const look = async (found: { location: string; size: number }[]) => {
      signal?.throwIfAborted();
      if (found.length === 0) return [];
      const owned = await this.#blobs.ownedLocations(found.map(({ location }) => location));
      return found.filter(({ location }) => !owned.has(location));
    };
    let batch: { location: string; size: number }[] = [];
    for await (const entry of this.#content.walk()) {
      if (entry.modifiedAt.getTime() >= before) continue;
      batch.push(entry);
      if (batch.length < PAGE) continue;
      for (const stray of await look(batch)) yield await this.#stray(stray, repair);
      batch = [];
    }
    for (const stray of await look(batch)) yield await this.#stray(stray, repair);
  }

  async #stray({ location, size }: { location: string; size: number }, repair: boolean): Promise<Finding> {
    if (repair) await this.#content.delete(location);
    const detail = `${size} bytes that no blob owns`;
    return {
      kind: 'content-stray',
      what: location,
      detail,
      remedy: 'the content is deleted',
      repaired: repair,
    };
  }

  async *#checkManifests({ repair, signal }: FsckOptions): AsyncGenerator<Finding> {
    for (let last: MissingLink | undefined; ; ) {
      signal?.throwIfAborted();
      const page = await this.#repository.missingLinks(PAGE, last);
      for (const missing of page) {
        if (await this.#isForeign(missing)) continue;
        const detail = `${missing.repository}@${missing.manifest} names it`;
        if (missing.stored) {
          if (repair) await this.#repository.link(missing);
          const remedy = 'the repository sees the blob again';
          yield { kind: 'link-missing', what: missing.digest, detail, remedy, repaired: repair };
        } else {
          yield { kind: 'blob-missing', what: missing.digest, detail, remedy: undefined, repaired: false };
        }
      }
      if (page.length < PAGE) return;
      last = page.at(-1)!;
    }
  }

  /** Layers that are kept elsewhere need not be there. */
  async #isForeign({ repositoryId, manifest, digest }: MissingLink): Promise<boolean> {
    const found = await this.#repository.manifest(repositoryId, manifest);
    if (!found) return true;
    const { foreignBlobs } = parseManifestDocument(found.payload, found.mediaType);
    return foreignBlobs.includes(digest as Digest);
  }

  async *#checkUsage({ repair }: FsckOptions): AsyncGenerator<Finding> {
    for (const { namespace, charged, actual } of await this.#repository.wrongUsage()) {
      if (repair) await this.#repository.recount(namespace);
      const detail = `charged for ${charged} bytes, sees ${actual}`;
      yield {
        kind: 'usage-wrong',
        what: namespace,
        detail,
        remedy: 'the namespace is charged for what it sees',
        repaired: repair,
      };
    }
  }
}

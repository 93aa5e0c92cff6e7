import { randomUUID } from 'node:crypto';
import { KeyedLock } from '#async/keyed-lock.ts';
import type { ContentStore, ContentWriter } from '#content/content-store.ts';
import { invalid, isKind, notFound, SlipwayError } from '#errors/errors.ts';
import { algorithmOf, type Digest, type DigestAlgorithm } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { BlobsRepository, StoredUpload } from '../blobs/blobs-repository.ts';
import type { Actor } from '../events/event.ts';
import { type QuotasRepository, quotaExceeded } from '../quotas/quotas-repository.ts';
import { type RunningHash, RunningHashes } from './running-hash.ts';
import type { Upload, UploadsRepository } from './uploads-repository.ts';

/** Which bytes of the blob a request brings, `end` inclusive. */
export interface ChunkRange {
  readonly start: number;
  readonly end: number;
}

export type Body = AsyncIterable<Uint8Array>;

/**
 * Pushing blobs (OCI distribution-spec, "Pushing blobs"). An upload has a location of its own; the end of it
 * records that its digest is there. Requests for one upload run one after another.
 */
export class Uploads {
  readonly #uploads: UploadsRepository;
  readonly #blobs: BlobsRepository;
  readonly #quotas: QuotasRepository;
  readonly #content: ContentStore;
  readonly #locks = new KeyedLock();
  readonly #hashes = new RunningHashes();
  /** Writers at work, to tell how far an upload got while a request is still bringing bytes. */
  readonly #active = new Map<string, ContentWriter>();

  constructor(ports: {
    uploads: UploadsRepository;
    blobs: BlobsRepository;
    quotas: QuotasRepository;
    content: ContentStore;
  }) {
    this.#uploads = ports.uploads;
    this.#blobs = ports.blobs;
    this.#quotas = ports.quotas;
    this.#content = ports.content;
  }

  async begin(repository: RepositoryName, algorithm: DigestAlgorithm = 'sha256'): Promise<string> {
    await this.#room(repository);
    const id = randomUUID();
    await this.#uploads.add({ id, repository, location: locationOf(id), algorithm });
    return id;
  }

  /** A whole blob in one request. Throws `invalid`, `DIGEST_INVALID`, when it is another one. */
  async put(repository: RepositoryName, digest: Digest, body: Body, actor: Actor): Promise<void> {
    const id = randomUUID();
    const upload: Upload = { id, repository, location: locationOf(id), algorithm: algorithmOf(digest) };
    const writer = await this.#content.writer(upload.location);
    try {
      const hash = await this.#hashes.take(id, writer, upload.algorithm);
      await store(body, writer, hash, { repository, room: await this.#room(repository) });
      requireDigest(hash.digest(), digest);
      await this.#publish(upload, writer, digest, actor);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** Bytes stored so far. Throws `not-found`, `BLOB_UPLOAD_UNKNOWN`, as all below. */
  async offset(repository: RepositoryName, id: string): Promise<number> {
    const upload = await this.#find(repository, id);
    const active = this.#active.get(id);
    if (active) return active.offset;
    return await this.#locks.run(id, () => this.#write(upload, async (writer) => writer.offset));
  }

  /**
   * Appends a chunk and returns how many bytes are stored. Throws `range` when it does not begin where the last
   * one ended. When the body breaks off, what came of it is kept.
   */
  async append(repository: RepositoryName, id: string, body: Body, range?: ChunkRange): Promise<number> {
    return await this.#locks.run(id, async () => {
      const upload = await this.#find(repository, id);
      return await this.#write(upload, async (writer) => {
        await this.#append(upload, writer, body, range);
        // Who says which bytes these are sends them in several chunks; a stream is mostly the whole.
        await writer.close({ whole: range === undefined });
        return writer.offset;
      });
    });
  }

  /**
   * Ends an upload, after a last chunk if there is one: the blob is in the repository. Throws `invalid`,
   * `DIGEST_INVALID`, when what was stored has another digest; the upload is gone then.
   */
  async finish(
    repository: RepositoryName,
    id: string,
    end: { digest: Digest; body: Body; range?: ChunkRange | undefined; actor: Actor },
  ): Promise<void> {
    const { digest, body, range, actor } = end;
    await this.#locks.run(id, async () => {
      const upload = { ...(await this.#find(repository, id)), algorithm: algorithmOf(digest) };
      await this.#write(upload, async (writer) => {
        await this.#append(upload, writer, body, range);
        const hash = await this.#hashes.take(id, writer, upload.algorithm);
        try {
          requireDigest(hash.digest(), digest);
        } catch (error) {
          await this.#remove(upload, writer);
          throw error;
        }
        await this.#publish(upload, writer, digest, actor);
      });
    });
  }

  async cancel(repository: RepositoryName, id: string): Promise<void> {
    await this.#locks.run(id, async () => {
      const upload = await this.#find(repository, id);
      await this.#write(upload, (writer) => this.#remove(upload, writer));
    });
  }

  async #find(repository: RepositoryName, id: string): Promise<Upload> {
    const upload = await this.#uploads.find(repository, id);
    if (!upload)
      throw notFound('blob upload unknown to registry', { code: 'BLOB_UPLOAD_UNKNOWN', detail: { id } });
    return upload;
  }

  /** Runs a task with the upload's writer; what it wrote stays for the next request unless the task ended it. */
  async #write<T>(upload: Upload, task: (writer: ContentWriter) => Promise<T>): Promise<T> {
    await using writer = await this.#content.writer(upload.location);
    this.#active.set(upload.id, writer);
    try {
      return await task(writer);
    } finally {
      this.#active.delete(upload.id);
    }
  }

  async #append(upload: Upload, writer: ContentWriter, body: Body, range?: ChunkRange): Promise<void> {
    if (range && range.start !== writer.offset) {
      throw new SlipwayError('range', `chunk starts at ${range.start}, expected ${writer.offset}`, {
        code: 'BLOB_UPLOAD_INVALID',
        detail: { offset: writer.offset },
      });
    }
    const { id, repository, algorithm } = upload;
    const hash = await this.#hashes.take(id, writer, algorithm);
    try {
      const room = await this.#room(repository, writer.offset);
      await store(body, writer, hash, { repository, room, length: range && range.end - range.start + 1 });
      this.#hashes.keep(id, hash);
    } catch (error) {
      if (isKind(error, 'forbidden')) await this.#remove(upload, writer);
      else this.#hashes.keep(id, hash);
      throw error;
    }
  }

  /** Records what was written as `digest`, or drops it if that is there already. Closes the writer. */
  async #publish(upload: Upload, writer: ContentWriter, digest: Digest, actor: Actor): Promise<void> {
    const { repository, id, location } = upload;
    const size = writer.offset;
    const stored = await this.#blobs.findAnywhere(digest);
    const intact = stored && (await this.#content.stat(stored.location))?.size === stored.size;
    const blob = { repository, digest, size, location, upload: id };
    if (intact && (await this.#adopt({ ...blob, location: stored.location }, upload, writer, actor))) return;
    await writer.commit();
    // Recorded, and its content lost: ours takes the place of what is missing.
    const broken = intact ? undefined : stored?.location;
    const surplus = await this.#blobs.publish({ ...blob, broken }, actor).catch(async (error: unknown) => {
      await this.#blobs.discard(blob).catch(() => {});
      throw error;
    });
    this.#hashes.drop(id);
    if (surplus === undefined) return;
    await this.#content.delete(surplus);
    await this.#blobs.forget(surplus);
  }

  /** Takes what is stored instead of what was written, if it is still there. */
  async #adopt(stored: StoredUpload, upload: Upload, writer: ContentWriter, actor: Actor): Promise<boolean> {
    try {
      if (!(await this.#blobs.adopt(stored, actor))) return false;
    } catch (error) {
      if (isKind(error, 'forbidden')) await this.#remove(upload, writer);
      throw error;
    }
    this.#hashes.drop(upload.id);
    await writer.abort();
    return true;
  }

  /** Bytes that the repository's namespace may take beyond `stored`. Throws `forbidden` when there is no room. */
  async #room(repository: RepositoryName, stored = 0): Promise<number | undefined> {
    const room = await this.#quotas.room(repository);
    if (room === undefined) return undefined;
    if (room <= stored) throw quotaExceeded(repository);
    return room - stored;
  }

  async #remove(upload: Upload, writer: ContentWriter): Promise<void> {
    this.#hashes.drop(upload.id);
    await writer.abort();
    await this.#content.delete(upload.location);
    await this.#uploads.remove(upload.id);
  }
}

interface Bounds {
  readonly repository: RepositoryName;
  /** Bytes that there is room for. */
  readonly room: number | undefined;
  /** Bytes that were announced. */
  readonly length?: number | undefined;
}

/** Hashes and writes a body in one pass; what was hashed is what was written. */
async function store(body: Body, writer: ContentWriter, hash: RunningHash, bounds: Bounds): Promise<void> {
  const { repository, room = Infinity, length } = bounds;
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    if (length !== undefined && received > length) throw sizeInvalid(length, received);
    if (received > room) throw quotaExceeded(repository);
    hash.update(chunk);
    await writer.write(chunk);
  }
  if (length !== undefined && received < length) throw sizeInvalid(length, received);
}

/** Throws `invalid`, `DIGEST_INVALID`. */
function requireDigest(actual: Digest, expected: Digest): void {
  if (actual === expected) return;
  throw invalid('provided digest did not match uploaded content', {
    code: 'DIGEST_INVALID',
    detail: { expected, actual },
  });
}

function sizeInvalid(announced: number, received: number) {
  return invalid('chunk length differs from its Content-Range', {
    code: 'SIZE_INVALID',
    detail: { announced, received },
  });
}

/** Spread over folders: a directory with a million names is slow to walk and to sync. */
function locationOf(id: string): string {
  return `uploads/${id.slice(0, 2)}/${id}`;
}

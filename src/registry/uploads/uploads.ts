import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContentStore, ContentWriter } from '#content/content-store.ts';
import { invalid, isKind, SlipwayError } from '#errors/errors.ts';
import { algorithmOf, type Digest, type DigestAlgorithm } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { BlobsRepository, StoredUpload } from '../blobs/blobs-repository.ts';
import type { Actor } from '../events/event.ts';
import { type QuotasRepository, quotaExceeded } from '../quotas/quotas-repository.ts';
import { Locations } from './locations.ts';
import { RunningHash, RunningHashes } from './running-hash.ts';
import { type UploadHold, UploadHolds } from './upload-holds.ts';
import type { UploadsRepository } from './uploads-repository.ts';

/** Which bytes of the blob a request brings, `end` inclusive. */
export interface ChunkRange {
  readonly start: number;
  readonly end: number;
}

export type Body = AsyncIterable<Uint8Array>;

/**
 * Pushing blobs (OCI distribution-spec, "Pushing blobs"). An upload has a location of its own; the end of it
 * records that its digest is there. Requests for one upload run one after another, whichever process they come to.
 */
export class Uploads {
  readonly #uploads: UploadsRepository;
  readonly #blobs: BlobsRepository;
  readonly #quotas: QuotasRepository;
  readonly #content: ContentStore;
  readonly #holds: UploadHolds;
  readonly #locations = new Locations();
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
    this.#holds = new UploadHolds(ports);
    this.#blobs = ports.blobs;
    this.#quotas = ports.quotas;
    this.#content = ports.content;
  }

  /** How many there are, of all processes. */
  underWay(): Promise<number> {
    return this.#uploads.count();
  }

  /** Bytes that a chunk has at least to be kept cheaply; undefined where any size will do. */
  get minimumChunk(): number | undefined {
    return this.#content.minimumChunk;
  }

  async begin(repository: RepositoryName, algorithm: DigestAlgorithm = 'sha256'): Promise<string> {
    await this.#room(repository);
    const id = randomUUID();
    await this.#uploads.add({ id, repository, location: this.#locations.next(), algorithm });
    return id;
  }

  /** A whole blob in one request. Throws `invalid`, `DIGEST_INVALID`, when it is another one. */
  async put(repository: RepositoryName, digest: Digest, body: Body, actor: Actor): Promise<void> {
    const location = this.#locations.next();
    const writer = await this.#content.writer(location);
    try {
      const hash = new RunningHash(algorithmOf(digest));
      await store(body, writer, { hash, repository, room: await this.#room(repository) });
      requireDigest(hash.digest(), digest);
      await this.#publish({ repository, digest, size: writer.offset, location }, writer, actor);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** Bytes stored so far. Throws `not-found`, `BLOB_UPLOAD_UNKNOWN`, as all below. */
  async offset(repository: RepositoryName, id: string): Promise<number> {
    // A request that is bringing bytes may take long: how far it got is known without waiting for its end.
    while (this.#holds.isWorking(id) && (await this.#uploads.exists(repository, id))) {
      const active = this.#active.get(id);
      if (active) return active.offset;
      await sleep(20);
    }
    return await this.#holds.run(repository, id, (hold) =>
      this.#write(hold, async ({ offset }) => {
        this.#hashes.pass(hold.upload);
        return offset;
      }),
    );
  }

  /**
   * Appends a chunk and returns how many bytes are stored. Throws `range` when it does not begin where the last
   * one ended. When the body breaks off, what came of it is kept.
   */
  async append(repository: RepositoryName, id: string, body: Body, range?: ChunkRange): Promise<number> {
    return await this.#holds.run(repository, id, async (hold) => {
      await this.#salvage(hold);
      return await this.#write(hold, async (writer) => {
        await this.#append(hold, writer, body, range);
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
    await this.#holds.run(repository, id, async (hold) => {
      await this.#salvage(hold);
      await this.#write(hold, async (writer) => {
        const algorithm = algorithmOf(digest);
        const hash =
          (await this.#append(hold, writer, body, range, algorithm)) ??
          (await RunningHash.of(writer, algorithm));
        try {
          requireDigest(hash.digest(), digest);
        } catch (error) {
          await this.#remove(hold, writer);
          throw error;
        }
        hold.throwIfLost();
        const { location, token } = hold.upload;
        const blob = { repository, digest, size: writer.offset, location, upload: { id, token } };
        await this.#publish(blob, writer, actor, hold);
      });
    });
  }

  async cancel(repository: RepositoryName, id: string): Promise<void> {
    await this.#holds.run(repository, id, (hold) =>
      this.#write(hold, (writer) => this.#remove(hold, writer)),
    );
  }

  /** Nobody works on an upload: for the one process on the database, which has just been started. */
  async releaseAll(): Promise<void> {
    await this.#uploads.releaseAll();
  }

  /** Runs a task with the upload's writer; what it wrote stays for the next request unless the task ended it. */
  async #write<T>({ upload }: UploadHold, task: (writer: ContentWriter) => Promise<T>): Promise<T> {
    await using writer = await this.#content.writer(upload.location);
    this.#active.set(upload.id, writer);
    try {
      return await task(writer);
    } finally {
      this.#active.delete(upload.id);
    }
  }

  /**
   * Appends a body. Returns the hash of all that is stored then, if that is known without reading it back: what went
   * through another process is read once, at the end.
   */
  async #append(
    hold: UploadHold,
    writer: ContentWriter,
    body: Body,
    range: ChunkRange | undefined,
    algorithm: DigestAlgorithm = hold.upload.algorithm,
  ): Promise<RunningHash | undefined> {
    const { id, repository, token } = hold.upload;
    const { offset } = writer;
    if (range && range.start !== offset) {
      this.#hashes.pass({ id, token });
      throw new SlipwayError('range', `chunk starts at ${range.start}, expected ${offset}`, {
        code: 'BLOB_UPLOAD_INVALID',
        detail: { offset },
      });
    }
    const hash = this.#hashes.take({ id, token, offset, algorithm });
    try {
      const room = await this.#room(repository, offset);
      const length = range && range.end - range.start + 1;
      await store(body, writer, { hash, repository, room, length, hold });
      if (hash) this.#hashes.keep({ id, token }, hash);
    } catch (error) {
      if (isKind(error, 'forbidden')) await this.#remove(hold, writer);
      else if (hash) this.#hashes.keep({ id, token }, hash);
      throw error;
    }
    return hash;
  }

  /**
   * Has an upload go on at another location when a process that counts as dead may still write to the old one: what
   * was hashed is what is stored, and stays it.
   */
  async #salvage(hold: UploadHold): Promise<void> {
    const { id, token, algorithm, location: from, suspect } = hold.upload;
    if (!suspect) return;
    const to = this.#locations.next();
    await using old = await this.#content.writer(from);
    const hash = new RunningHash(algorithm);
    {
      await using writer = await this.#content.writer(to);
      if (old.offset > 0) await store(old.read(), writer, { hash, hold });
      await writer.close();
    }
    await this.#uploads.move(hold.upload, to);
    hold.movedTo(to);
    this.#hashes.keep({ id, token }, hash);
    await old.abort();
    await this.#content.delete(from);
  }

  /** Records what was written as a blob, or drops it if that is there already. Closes the writer. */
  async #publish(blob: StoredUpload, writer: ContentWriter, actor: Actor, hold?: UploadHold): Promise<void> {
    const stored = await this.#blobs.findAnywhere(blob.digest);
    const intact = stored && (await this.#content.stat(stored.location))?.size === stored.size;
    if (intact && (await this.#adopt({ ...blob, location: stored.location }, writer, actor, hold))) return;
    await writer.commit();
    // Recorded, and its content lost: ours takes the place of what is missing.
    const broken = intact ? undefined : stored?.location;
    const surplus = await this.#blobs.publish({ ...blob, broken }, actor).catch(async (error: unknown) => {
      await this.#blobs.discard(blob).catch(() => {});
      throw error;
    });
    this.#ended(hold);
    if (surplus === undefined) return;
    await this.#content.delete(surplus);
    await this.#blobs.forget(surplus);
  }

  /** Takes what is stored instead of what was written, if it is still there. */
  async #adopt(
    stored: StoredUpload,
    writer: ContentWriter,
    actor: Actor,
    hold?: UploadHold,
  ): Promise<boolean> {
    try {
      if (!(await this.#blobs.adopt(stored, actor))) return false;
    } catch (error) {
      if (isKind(error, 'forbidden') && hold) await this.#remove(hold, writer);
      throw error;
    }
    this.#ended(hold);
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

  async #remove(hold: UploadHold, writer: ContentWriter): Promise<void> {
    // The row goes first: bytes without one are found again.
    await this.#uploads.removeHeld(hold.upload);
    this.#ended(hold);
    await writer.abort();
    await this.#content.delete(hold.upload.location);
  }

  #ended(hold: UploadHold | undefined): void {
    if (!hold) return;
    hold.over();
    this.#hashes.drop(hold.upload.id);
  }
}

interface Storing {
  /** Of what is stored; undefined when the beginning is not known. */
  readonly hash: RunningHash | undefined;
  readonly repository?: RepositoryName;
  /** Bytes that there is room for. */
  readonly room?: number | undefined;
  /** Bytes that were announced. */
  readonly length?: number | undefined;
  readonly hold?: UploadHold;
}

/** Hashes and writes a body in one pass; what was hashed is what was written. */
async function store(body: Body, writer: ContentWriter, storing: Storing): Promise<void> {
  const { hash, repository, room = Infinity, length, hold } = storing;
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    if (length !== undefined && received > length) throw sizeInvalid(length, received);
    if (received > room) throw quotaExceeded(repository!);
    hold?.throwIfLost();
    hash?.update(chunk);
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

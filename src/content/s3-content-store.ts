import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { isKind, notFound } from '#errors/errors.ts';
import type { ContentReader, ContentStore, ContentWriter } from './content-store.ts';
import { S3Bucket } from './s3-bucket.ts';
import { createLinkClient, createS3Client } from './s3-client.ts';
import { S3ContentReader } from './s3-content-reader.ts';
import { S3ContentWriter } from './s3-content-writer.ts';
import { S3Direct } from './s3-direct.ts';
import { S3Downloads } from './s3-downloads.ts';
import { S3Ingest } from './s3-ingest.ts';
import { S3Keys } from './s3-keys.ts';
import { MIN_PART, S3Multipart } from './s3-multipart.ts';
import { S3PartBuffers } from './s3-part-buffers.ts';
import type { S3Settings } from './s3-settings.ts';

/**
 * Content in a bucket, at the keys that `S3Keys` says. Bytes are sent while they come in and are neither copied nor
 * read back by a commit. A write whose process is gone is found again through the multipart uploads that S3 lists.
 * Until its commit, content that another process had to hash (see `S3Ingest`) can be opened by who knows its location.
 */
export class S3ContentStore implements ContentStore, AsyncDisposable {
  readonly minimumChunk = MIN_PART;
  readonly #settings: S3Settings;
  readonly #client: S3Client;
  readonly #links: S3Client;
  readonly #bucket: S3Bucket;
  readonly #direct: S3Direct;
  readonly #downloads: S3Downloads;
  readonly #multipart: S3Multipart;
  readonly #keys: S3Keys;
  readonly #buffers: S3PartBuffers;

  constructor(settings: S3Settings) {
    this.#settings = settings;
    this.#client = createS3Client(settings);
    this.#links = createLinkClient(settings);
    const { bucket, encryption } = settings;
    this.#bucket = new S3Bucket({ client: this.#client, bucket, encryption });
    this.#direct = new S3Direct({ client: this.#client, settings });
    this.#downloads = new S3Downloads({ direct: this.#direct, bucket: this.#bucket });
    this.#multipart = new S3Multipart({ client: this.#client, direct: this.#direct, bucket, encryption });
    this.#keys = new S3Keys(settings.prefix);
    this.#buffers = new S3PartBuffers(settings);
  }

  /** Throws `invalid` when the bucket is not there or may not be used, `unavailable` when nobody says so. */
  async check(): Promise<void> {
    await this.#bucket.check();
  }

  async writer(location: string): Promise<ContentWriter> {
    return new S3ContentWriter({ ingest: await this.#ingest(location), buffers: this.#buffers });
  }

  async open(location: string, range?: { start: number; end: number }): Promise<ContentReader> {
    const key = this.#keys.content(location);
    try {
      return await S3ContentReader.open(this.#downloads, key, range);
    } catch (error) {
      throw isKind(error, 'not-found') ? notFound(`no content at ${location}`, { cause: error }) : error;
    }
  }

  async stat(location: string): Promise<{ size: number } | undefined> {
    const size = await this.#bucket.size(this.#keys.content(location));
    return size === undefined ? undefined : { size };
  }

  async delete(location: string): Promise<void> {
    const key = this.#keys.content(location);
    const [ingest] = await Promise.all([this.#ingest(location), this.#bucket.remove([key])]);
    await ingest.drop();
  }

  async link(location: string): Promise<string> {
    const command = new GetObjectCommand({
      Bucket: this.#settings.bucket,
      Key: this.#keys.content(location),
      ResponseContentType: 'application/octet-stream',
      ResponseCacheControl: 'private, max-age=31536000',
    });
    return await getSignedUrl(this.#links, command, {
      expiresIn: Math.floor(this.#settings.linkExpiry / 1000),
    });
  }

  async *walk(prefix?: string) {
    const from = this.#keys.contents(prefix);
    const uncommitted = new Set<string>();
    for await (const { key } of this.#bucket.list(this.#keys.ingests())) {
      const location = this.#keys.unsealingLocation(key);
      if (location !== undefined) uncommitted.add(location);
    }
    for await (const { key, size, modifiedAt } of this.#bucket.list(from)) {
      const location = this.#keys.location(key);
      if (!uncommitted.has(location)) yield { location, size, modifiedAt };
    }
  }

  async *ingests() {
    for await (const { key, startedAt } of this.#multipart.below(this.#keys.contents())) {
      const location = this.#keys.location(key);
      const ingest = await this.#ingest(location);
      if (ingest.begun) yield { location, size: ingest.size, modifiedAt: ingest.modifiedAt ?? startedAt };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#direct[Symbol.dispose]();
    this.#client.destroy();
    this.#links.destroy();
  }

  async #ingest(location: string): Promise<S3Ingest> {
    const [bucket, multipart, keys] = [this.#bucket, this.#multipart, this.#keys];
    return await S3Ingest.find({ bucket, multipart, keys }, location);
  }
}

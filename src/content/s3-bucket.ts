import type { Readable } from 'node:stream';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { invalid, isKind } from '#errors/errors.ts';
import { isRefusal, reason, s3Failure } from './s3-errors.ts';
import type { S3Encryption } from './s3-settings.ts';

/** DeleteObjects takes no more. */
const DELETE_BATCH = 1000;

export interface S3Object {
  readonly key: string;
  readonly size: number;
  readonly modifiedAt: Date;
}

/** The objects of one bucket. Everything throws `unavailable`, and `not-found` for an object that is not there. */
export class S3Bucket {
  readonly #client: S3Client;
  readonly #name: string;
  readonly #encryption: ReturnType<typeof encryptionParameters>;

  constructor(options: { client: S3Client; bucket: string; encryption?: S3Encryption | undefined }) {
    this.#client = options.client;
    this.#name = options.bucket;
    this.#encryption = encryptionParameters(options.encryption);
  }

  /** Throws `invalid` when the bucket is not there or may not be used, `unavailable` when nobody says so. */
  async check(): Promise<void> {
    try {
      await this.#client.send(new HeadBucketCommand({ Bucket: this.#name }));
    } catch (error) {
      if (!isRefusal(error)) throw s3Failure(error, `HEAD bucket ${this.#name}`);
      throw invalid(`the bucket ${this.#name} cannot be used: ${reason(error)}`, { cause: error });
    }
  }

  /**
   * The caller reads or destroys `body`; `size` is that of the whole object. `end` is inclusive. With `etag`, fails if the
   * object is another one by now. What is only passed on is got with `S3Downloads`.
   */
  async get(
    key: string,
    options: { range?: { start: number; end: number } | undefined; etag?: string | undefined } = {},
  ): Promise<{ body: Readable; size: number; etag: string | undefined }> {
    const { range, etag } = options;
    const answer = await this.#client
      .send(
        new GetObjectCommand({
          Bucket: this.#name,
          Key: key,
          Range: range && `bytes=${range.start}-${range.end}`,
          IfMatch: etag,
        }),
      )
      .catch(fail(`GET ${key}`));
    const total = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1];
    return {
      body: answer.Body as Readable,
      size: total === undefined ? answer.ContentLength! : Number(total),
      etag: answer.ETag,
    };
  }

  /** In bytes; undefined when there is no such object. */
  async size(key: string): Promise<number | undefined> {
    try {
      const answer = await this.#client
        .send(new HeadObjectCommand({ Bucket: this.#name, Key: key }))
        .catch(fail(`HEAD ${key}`));
      return answer.ContentLength;
    } catch (error) {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#client
      .send(new PutObjectCommand({ Bucket: this.#name, Key: key, Body: bytes, ...this.#encryption }))
      .catch(fail(`PUT ${key}`));
  }

  /** Objects that are not there are no error. */
  async remove(keys: readonly string[]): Promise<void> {
    for (let from = 0; from < keys.length; from += DELETE_BATCH) {
      const Objects = keys.slice(from, from + DELETE_BATCH).map((Key) => ({ Key }));
      const answer = await this.#client
        .send(new DeleteObjectsCommand({ Bucket: this.#name, Delete: { Objects, Quiet: true } }))
        .catch(fail(`DELETE of ${Objects.length} objects`));
      const [failed] = answer.Errors ?? [];
      if (failed) throw s3Failure(new Error(`${failed.Code}: ${failed.Message}`), `DELETE ${failed.Key}`);
    }
  }

  /** What is below a prefix, in the order of the keys. */
  async *list(prefix: string): AsyncGenerator<S3Object> {
    for (let token: string | undefined; ; ) {
      const page = await this.#client
        .send(new ListObjectsV2Command({ Bucket: this.#name, Prefix: prefix, ContinuationToken: token }))
        .catch(fail(`LIST ${prefix}`));
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        // Some servers show folders that others made.
        if (Key && !Key.endsWith('/'))
          yield { key: Key, size: Size ?? 0, modifiedAt: LastModified ?? new Date() };
      }
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
      if (token === undefined) return;
    }
  }
}

/** What PutObject and CreateMultipartUpload are told of encryption. */
export function encryptionParameters(encryption: S3Encryption | undefined) {
  if (!encryption) return {};
  if (encryption.algorithm === 'AES256') return { ServerSideEncryption: encryption.algorithm };
  return {
    ServerSideEncryption: encryption.algorithm,
    ...(encryption.key !== undefined && { SSEKMSKeyId: encryption.key }),
    // One request to KMS for many objects, where that can be had.
    ...(encryption.algorithm === 'aws:kms' && { BucketKeyEnabled: true }),
  };
}

export function fail(doing: string): (error: unknown) => never {
  return (error) => {
    throw s3Failure(error, doing);
  };
}

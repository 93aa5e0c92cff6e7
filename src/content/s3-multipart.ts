import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { isKind } from '#errors/errors.ts';
import { encryptionParameters, fail } from './s3-bucket.ts';
import type { S3Direct } from './s3-direct.ts';
import type { S3Encryption } from './s3-settings.ts';

/** No part but the last may be smaller, in bytes. */
export const MIN_PART = 5 * 2 ** 20;
/** No part may be larger. */
export const MAX_PART = 5 * 2 ** 30;
/** The highest part number. */
export const MAX_PARTS = 10_000;

export interface S3Part {
  readonly number: number;
  /** In bytes. */
  readonly size: number;
  readonly etag: string;
  readonly modifiedAt: Date;
}

export interface S3MultipartUpload {
  readonly key: string;
  readonly id: string;
  readonly startedAt: Date;
}

/** Multipart uploads to one bucket. Everything throws `unavailable`, and `not-found` for an upload that is not there. */
export class S3Multipart {
  readonly #client: S3Client;
  readonly #direct: S3Direct;
  readonly #bucket: string;
  readonly #encryption: ReturnType<typeof encryptionParameters>;

  constructor(options: {
    client: S3Client;
    direct: S3Direct;
    bucket: string;
    encryption?: S3Encryption | undefined;
  }) {
    this.#client = options.client;
    this.#direct = options.direct;
    this.#bucket = options.bucket;
    this.#encryption = encryptionParameters(options.encryption);
  }

  /** Returns the upload's id. */
  async begin(key: string): Promise<string> {
    const answer = await this.#client
      .send(new CreateMultipartUploadCommand({ Bucket: this.#bucket, Key: key, ...this.#encryption }))
      .catch(fail(`begin a multipart upload of ${key}`));
    return answer.UploadId!;
  }

  /** Sends a part; its bytes stay as they are until then. */
  async upload(
    key: string,
    id: string,
    number: number,
    bytes: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<S3Part> {
    const query = { partNumber: String(number), uploadId: id };
    const etag =
      (await this.#direct.ask({ method: 'PUT', key, query, body: bytes, signal }, ({ status, fields }) =>
        status === 200 ? fields.get('etag') : undefined,
      )) ?? (await this.#uploadThroughLibrary(key, id, number, bytes, signal));
    const size = bytes.reduce((sum, { length }) => sum + length, 0);
    return { number, size, etag, modifiedAt: new Date() };
  }

  async #uploadThroughLibrary(
    key: string,
    id: string,
    number: number,
    bytes: readonly Uint8Array[],
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const part = { ...this.#of(key, id), PartNumber: number, Body: Buffer.concat(bytes) };
    const answer = await this.#client
      .send(new UploadPartCommand(part), signal && { abortSignal: signal })
      .catch(fail(`PUT part ${number} of ${key}`));
    return answer.ETag!;
  }

  /** A part made of bytes `start` to `end`, inclusive, of the object at the same key: the server copies. */
  async copy(
    key: string,
    id: string,
    number: number,
    range: { start: number; end: number },
  ): Promise<S3Part> {
    const answer = await this.#client
      .send(
        new UploadPartCopyCommand({
          ...this.#of(key, id),
          PartNumber: number,
          CopySource: `${this.#bucket}/${encodeURI(key)}`,
          CopySourceRange: `bytes=${range.start}-${range.end}`,
        }),
      )
      .catch(fail(`copy part ${number} of ${key}`));
    const size = range.end - range.start + 1;
    return { number, size, etag: answer.CopyPartResult!.ETag!, modifiedAt: new Date() };
  }

  /** By number; undefined when there is no such upload. */
  async parts(key: string, id: string): Promise<S3Part[] | undefined> {
    const parts: S3Part[] = [];
    for (let marker: string | undefined; ; ) {
      const page = await this.#client
        .send(new ListPartsCommand({ ...this.#of(key, id), PartNumberMarker: marker }))
        .catch(fail(`LIST parts of ${key}`))
        .catch(undefinedIfMissing);
      if (!page) return undefined;
      for (const { PartNumber, Size, ETag, LastModified } of page.Parts ?? []) {
        parts.push({
          number: PartNumber!,
          size: Size!,
          etag: ETag!,
          modifiedAt: LastModified ?? new Date(),
        });
      }
      marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
      if (marker === undefined) return parts.sort((a, b) => a.number - b.number);
    }
  }

  /** The object is there from now on, made of these parts. */
  async complete(key: string, id: string, parts: readonly S3Part[]): Promise<void> {
    const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }));
    await this.#client
      .send(new CompleteMultipartUploadCommand({ ...this.#of(key, id), MultipartUpload: { Parts } }))
      .catch(fail(`complete the multipart upload of ${key}`));
  }

  /** An upload that is not there is no error. */
  async abort(key: string, id: string): Promise<void> {
    await this.#client
      .send(new AbortMultipartUploadCommand(this.#of(key, id)))
      .catch(fail(`abort the multipart upload of ${key}`))
      .catch(undefinedIfMissing);
  }

  /** Those of one key. */
  async of(key: string): Promise<S3MultipartUpload[]> {
    const found: S3MultipartUpload[] = [];
    for await (const upload of this.#list(key)) if (upload.key === key) found.push(upload);
    return found;
  }

  /** Those of the keys with a prefix. MinIO takes nothing but a whole key for one, so all are listed. */
  async *below(prefix: string): AsyncGenerator<S3MultipartUpload> {
    for await (const upload of this.#list('')) if (upload.key.startsWith(prefix)) yield upload;
  }

  #of(key: string, id: string) {
    return { Bucket: this.#bucket, Key: key, UploadId: id };
  }

  async *#list(prefix: string): AsyncGenerator<S3MultipartUpload> {
    let markers: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
    while (markers) {
      const page: ListMultipartUploadsCommandOutput = await this.#client
        .send(new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: prefix, ...markers }))
        .catch(fail(`LIST multipart uploads of ${prefix}`));
      for (const { Key, UploadId, Initiated } of page.Uploads ?? [])
        yield { key: Key!, id: UploadId!, startedAt: Initiated ?? new Date() };
      const { NextKeyMarker, NextUploadIdMarker } = page;
      markers = page.IsTruncated && NextKeyMarker ? marked(NextKeyMarker, NextUploadIdMarker) : undefined;
    }
  }
}

function marked(KeyMarker: string, UploadIdMarker: string | undefined) {
  return UploadIdMarker === undefined ? { KeyMarker } : { KeyMarker, UploadIdMarker };
}

function undefinedIfMissing(error: unknown): undefined {
  if (!isKind(error, 'not-found')) throw error;
}

import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';
import { BlobUpload, locationOf } from './blob-upload.ts';
import type { HttpResponse } from './http-transport.ts';
import { registryError } from './registry-error.ts';
import type { RepositoryClient } from './repository-client.ts';
import { type RetryOptions, retrying } from './retry.ts';

export type BlobContent = () => Promise<AsyncIterable<Uint8Array>> | AsyncIterable<Uint8Array>;

/** Writes to one repository. Failures that may pass are tried again. */
export class Pusher {
  readonly #client: RepositoryClient;
  readonly #retry: RetryOptions;

  constructor(client: RepositoryClient, options: { retry?: RetryOptions } = {}) {
    this.#client = client;
    this.#retry = options.retry ?? {};
  }

  async hasBlob(digest: Digest, options: { signal?: AbortSignal } = {}): Promise<boolean> {
    return retrying(async () => {
      const response = await this.#client.request({ method: 'HEAD', path: `blobs/${digest}`, ...options });
      response.body.resume();
      if (response.status === 200) return true;
      if (response.status === 404) return false;
      throw await registryError(response, `blobs/${digest}`);
    }, this.#with(options));
  }

  /** Asks the registry to take a blob over from another of its repositories; answers whether it did. */
  async mountBlob(digest: Digest, from: string, options: { signal?: AbortSignal } = {}): Promise<boolean> {
    const query = { mount: digest, from };
    const response = await this.#client.request({
      method: 'POST',
      path: 'blobs/uploads/',
      query,
      alsoPull: [from],
      headers: { 'content-length': '0' },
      ...options,
    });
    response.body.resume();
    if (response.status === 201) return true;
    // 202 began an upload instead. The blob is uploaded in a session of its own, for this one may need other scopes.
    if (response.status === 202) await this.#cancelUpload(response, options);
    return false;
  }

  /** Uploads a blob in one request. `content` is asked again for every attempt. */
  async putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: BlobContent,
    options: { signal?: AbortSignal } = {},
  ): Promise<void> {
    await retrying(async () => {
      const location = await this.#beginUpload(options);
      const response = await this.#client.request({
        method: 'PUT',
        path: location,
        query: { digest: descriptor.digest },
        headers: { 'content-type': 'application/octet-stream', 'content-length': String(descriptor.size) },
        body: content,
        ...options,
      });
      if (response.status !== 201) throw await registryError(response, `blobs/${descriptor.digest}`);
      response.body.resume();
    }, this.#with(options));
  }

  /** For a blob that is still being made. Not tried again. */
  async beginBlob(options: { signal?: AbortSignal } = {}): Promise<BlobUpload> {
    return new BlobUpload(this.#client, await this.#beginUpload(options), options);
  }

  /** Under a tag, or under its digest. */
  async putManifest(
    reference: string,
    manifest: { mediaType: string; payload: Uint8Array },
    options: { signal?: AbortSignal } = {},
  ): Promise<void> {
    await retrying(async () => {
      const response = await this.#client.request({
        method: 'PUT',
        path: `manifests/${reference}`,
        headers: { 'content-type': manifest.mediaType },
        body: () => manifest.payload,
        ...options,
      });
      if (response.status !== 201 && response.status !== 200) {
        throw await registryError(response, `manifests/${reference}`);
      }
      response.body.resume();
    }, this.#with(options));
  }

  async #beginUpload(options: { signal?: AbortSignal }): Promise<URL> {
    const response = await this.#client.request({
      method: 'POST',
      path: 'blobs/uploads/',
      headers: { 'content-length': '0' },
      ...options,
    });
    if (response.status !== 202) throw await registryError(response, 'blobs/uploads/');
    response.body.resume();
    return locationOf(response);
  }

  async #cancelUpload(response: HttpResponse, options: { signal?: AbortSignal }): Promise<void> {
    try {
      const path = locationOf(response);
      (await this.#client.request({ method: 'DELETE', path, ...options })).body.resume();
    } catch {
      // It expires by itself.
    }
  }

  #with(options: { signal?: AbortSignal }): RetryOptions {
    return { ...this.#retry, ...(options.signal && { signal: options.signal }) };
  }
}

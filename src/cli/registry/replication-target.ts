import type { Credentials } from '#distribution/authorizer.ts';
import type { HttpResponse, HttpTransport } from '#distribution/http-transport.ts';
import { Pusher } from '#distribution/pusher.ts';
import { registryError } from '#distribution/registry-error.ts';
import { RepositoryClient } from '#distribution/repository-client.ts';
import { unsupported } from '#errors/errors.ts';
import { type Digest, isDigest } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { PushedBlob, PushOptions, ReplicationTarget } from '#registry/replication/target.ts';

const ACCEPT = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.dockerManifestList,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerManifest,
].join(', ');

/** Tokens are kept by repository, for so many of them. */
const MAX_CLIENTS = 500;
/** The outbox tries again for longer than a request would. */
const RETRY = { attempts: 2 };

/** Another registry that is pushed to, over the Distribution API. */
export class DistributionTarget implements ReplicationTarget {
  readonly #transport: HttpTransport;
  readonly #origin: URL;
  readonly #credentials: Credentials | undefined;
  readonly #deletes: boolean;
  readonly #clients = new Map<string, RepositoryClient>();

  /** `deletes`: whether permission to delete is asked for, which an account may not have. */
  constructor(
    { transport }: { transport: HttpTransport },
    options: { origin: URL; credentials: Credentials | undefined; deletes: boolean },
  ) {
    this.#transport = transport;
    this.#origin = options.origin;
    this.#credentials = options.credentials;
    this.#deletes = options.deletes;
  }

  async resolve(
    repository: RepositoryName,
    reference: string,
    { signal }: PushOptions,
  ): Promise<Digest | undefined> {
    const path = `manifests/${reference}`;
    const headers = { accept: ACCEPT };
    const response = await this.#client(repository).request({ method: 'HEAD', path, headers, signal });
    if (response.status !== 200 && response.status !== 404) throw await registryError(response, path);
    response.body.resume();
    if (response.status === 404) return undefined;
    if (isDigest(reference)) return reference;
    const digest = response.headers['docker-content-digest'];
    // Without the header it is sent again, which does no harm.
    return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
  }

  async hasBlob(repository: RepositoryName, digest: Digest, { signal }: PushOptions): Promise<boolean> {
    return await this.#pusher(repository).hasBlob(digest, { signal });
  }

  async mountBlob(
    repository: RepositoryName,
    digest: Digest,
    { from, signal }: PushOptions & { from: RepositoryName },
  ): Promise<boolean> {
    return await this.#pusher(repository).mountBlob(digest, from, { signal });
  }

  async putBlob(repository: RepositoryName, blob: PushedBlob, { signal }: PushOptions): Promise<void> {
    await this.#pusher(repository).putBlob(blob, () => blob.open(), { signal });
  }

  async putManifest(
    repository: RepositoryName,
    reference: string,
    manifest: { mediaType: string; payload: Uint8Array },
    { signal }: PushOptions,
  ): Promise<void> {
    await this.#pusher(repository).putManifest(reference, manifest, { signal });
  }

  async deleteManifest(
    repository: RepositoryName,
    reference: string,
    { signal }: PushOptions,
  ): Promise<boolean> {
    const path = `manifests/${reference}`;
    const response = await this.#client(repository).request({ method: 'DELETE', path, signal });
    const { status } = response;
    if (status === 202 || status === 200 || status === 404) {
      response.body.resume();
      return status !== 404;
    }
    const error = await registryError(response, path);
    throw isRefusal(response) ? unsupported(error.message, { cause: error }) : error;
  }

  #pusher(repository: RepositoryName): Pusher {
    return new Pusher(this.#client(repository), { retry: RETRY });
  }

  #client(repository: RepositoryName): RepositoryClient {
    const known = this.#clients.get(repository);
    if (known) return known;
    const client = new RepositoryClient(this.#transport, {
      origin: this.#origin,
      repository,
      actions: this.#deletes ? 'pull,push,delete' : 'pull,push',
      ...(this.#credentials && { credentials: this.#credentials }),
    });
    this.#clients.set(repository, client);
    const [oldest] = this.#clients.size > MAX_CLIENTS ? this.#clients.keys() : [];
    if (oldest !== undefined) this.#clients.delete(oldest);
    return client;
  }
}

/** Some registries delete nothing, some no tags: docker-registry takes one for a malformed digest. */
function isRefusal({ status }: HttpResponse): boolean {
  return status === 405 || status === 400;
}

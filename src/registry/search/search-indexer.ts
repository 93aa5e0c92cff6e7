import type { Logger } from 'pino';
import { isKind } from '#errors/errors.ts';
import { type Digest, isDigest } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { RecordedEvent } from '../events/recorded-event.ts';
import type { Manifests } from '../manifests/manifests.ts';
import { type ManifestText, manifestText, stringsOf } from './manifest-text.ts';
import type { SearchRepository } from './search-repository.ts';

/** Image configs larger than this are not read for their labels. */
const MAX_CONFIG = 1024 * 1024;

type Json = Readonly<Record<string, unknown>>;

/** Keeps what can be searched in step with what is pushed. What is deleted leaves with its manifest. */
export class SearchIndexer {
  readonly #manifests: Pick<Manifests, 'get'>;
  readonly #blobs: Pick<Blobs, 'get'>;
  readonly #search: SearchRepository;
  readonly #logger: Logger;

  constructor(ports: {
    manifests: Pick<Manifests, 'get'>;
    blobs: Pick<Blobs, 'get'>;
    search: SearchRepository;
    logger: Logger;
  }) {
    this.#manifests = ports.manifests;
    this.#blobs = ports.blobs;
    this.#search = ports.search;
    this.#logger = ports.logger;
  }

  async read(events: readonly RecordedEvent[]): Promise<void> {
    const pushed = new Map<string, [RepositoryName, Digest]>();
    for (const { action, outcome, repository, digest } of events) {
      if (action !== 'manifest.push' || outcome !== 'done' || !repository || !digest) continue;
      pushed.set(`${repository}@${digest}`, [repository as RepositoryName, digest as Digest]);
    }
    const configs = new Configs(this.#blobs);
    for (const [repository, digest] of pushed.values()) await this.#index(repository, digest, configs);
  }

  async #index(repository: RepositoryName, digest: Digest, configs: Configs): Promise<void> {
    let text: ManifestText | undefined;
    try {
      const { payload } = await this.#manifests.get(repository, { digest });
      const document = parse(payload);
      const labels = await configs.labels(repository, document.config);
      text = manifestText(stringsOf(document.annotations), labels);
    } catch (error) {
      if (isKind(error, 'not-found')) return;
      // One that cannot be read is not to keep all others from being searched.
      if (!(error instanceof SyntaxError)) throw error;
      this.#logger.warn({ err: error, repository, digest }, 'a manifest cannot be searched');
    }
    if (text) await this.#search.put(repository, digest, text);
  }
}

/** The labels of images. The last config is remembered: what is pushed in a row often has the same one. */
class Configs {
  readonly #blobs: Pick<Blobs, 'get'>;
  #last: { readonly key: string; readonly labels: Record<string, string> } | undefined;

  constructor(blobs: Pick<Blobs, 'get'>) {
    this.#blobs = blobs;
  }

  async labels(repository: RepositoryName, config: unknown): Promise<Record<string, string>> {
    const { mediaType, digest } = (config ?? {}) as Json;
    if (mediaType !== MEDIA_TYPE.ociConfig && mediaType !== MEDIA_TYPE.dockerConfig) return {};
    if (typeof digest !== 'string' || !isDigest(digest)) return {};
    const key = `${repository}@${digest}`;
    if (this.#last?.key !== key) this.#last = { key, labels: await this.#read(repository, digest) };
    return this.#last.labels;
  }

  async #read(repository: RepositoryName, digest: Digest): Promise<Record<string, string>> {
    try {
      const blob = await this.#blobs.get(repository, digest);
      if (blob.size > MAX_CONFIG) return {};
      const chunks: Uint8Array[] = [];
      for await (const chunk of await blob.open()) chunks.push(Uint8Array.from(chunk));
      const image = parse(Buffer.concat(chunks)) as { config?: { Labels?: unknown } };
      return stringsOf(image.config?.Labels);
    } catch (error) {
      // A mirror has the manifest before its config, and a config may be anything.
      if (isKind(error, 'not-found') || error instanceof SyntaxError) return {};
      throw error;
    }
  }
}

function parse(bytes: Uint8Array): Json {
  const value: unknown = JSON.parse(Buffer.from(bytes).toString());
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

import { invalid } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { ImageConfig } from '#oci/image-config.ts';
import { parseImageReference } from '#oci/reference.ts';
import { parseMoment } from '../../containers/list/moment.ts';
import { parseImageConfig } from '../config-parser.ts';
import { familiar } from '../image-name.ts';
import type { ImageRepository } from '../image-repository.ts';
import type { ImageStore } from '../image-store.ts';
import type { LayerRepository } from '../layer-repository.ts';
import { referenceMatcher } from './image-glob.ts';
import { matchesImageLabels } from './image-labels.ts';

export interface ImageSummary {
  readonly id: Digest;
  readonly parent: Digest | undefined;
  readonly config: ImageConfig;
  /** Familiar: `busybox:latest`, `busybox@sha256:…`. */
  readonly names: readonly string[];
  readonly digests: readonly string[];
  /** Milliseconds since the epoch; 0 when the image does not say. */
  readonly createdAt: number;
  /** Bytes of all its layers, and of those that other images have too. */
  readonly size: number;
  readonly sharedSize: number;
  /** Containers that were made of it. */
  readonly containers: number;
}

export interface ListRequest {
  /** With the intermediate images of builds. */
  readonly all: boolean;
  readonly filters: ReadonlyMap<string, readonly string[]>;
}

/** What `docker images` and `docker system df` show. */
export class ImageLister {
  readonly #images: ImageRepository;
  readonly #layers: LayerRepository;
  readonly #store: ImageStore;

  constructor(ports: { images: ImageRepository; layers: LayerRepository; store: ImageStore }) {
    this.#images = ports.images;
    this.#layers = ports.layers;
    this.#store = ports.store;
  }

  /** Newest first. Throws `invalid` for a bad filter, `not-found` for the image that `before` or `since` names. */
  async list({ all, filters }: ListRequest): Promise<ImageSummary[]> {
    const summaries = await this.#summaries();
    const parents = new Set(summaries.map((image) => image.parent));
    const dangling = yesOrNo(filters, 'dangling');
    const { after, before } = await this.#period(filters);
    const references = filters.get('reference');
    const matches = references?.length ? referenceMatcher(references) : undefined;
    return summaries
      .filter((image) => {
        if (image.createdAt >= before || image.createdAt <= after) return false;
        if (!matchesImageLabels(image.config, filters)) return false;
        const named = image.names.length > 0;
        const isParent = parents.has(image.id);
        if (dangling !== undefined) return dangling ? !named && !isParent : named;
        return all || named || image.digests.length > 0 || !isParent;
      })
      .map((image) => (matches ? onlyNames(image, matches) : image))
      .filter((image) => !matches || image.names.length > 0 || image.digests.length > 0)
      .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? -1 : 1));
  }

  /** Bytes of every layer that is here, each once. */
  async layersSize(): Promise<number> {
    return (await this.#layers.all()).reduce((bytes, layer) => bytes + layer.bytes, 0);
  }

  async count(): Promise<number> {
    return (await this.#images.all()).length;
  }

  async #summaries(): Promise<ImageSummary[]> {
    const names = group(await this.#images.names(), ({ name }) => familiar(name));
    const digests = group(await this.#images.digests(), ({ repository, digest }) =>
      familiar(`${repository}@${digest}`),
    );
    const users = group(await this.#images.users(), ({ user }) => user);
    const sizes = await this.#images.sizes();
    return (await this.#images.all()).map((row) => {
      const config = parseImageConfig(row.rawConfig);
      const size = sizes.get(row.id);
      return {
        id: row.id,
        parent: row.parent,
        config,
        names: names.get(row.id) ?? [],
        digests: digests.get(row.id) ?? [],
        createdAt: createdAt(config),
        size: size?.total ?? 0,
        sharedSize: size?.shared ?? 0,
        containers: (users.get(row.id) ?? []).filter((user) => user.startsWith('container:')).length,
      };
    });
  }

  async #period(filters: ListRequest['filters']): Promise<{ after: number; before: number }> {
    let after = Number.NEGATIVE_INFINITY;
    let before = Number.POSITIVE_INFINITY;
    for (const name of filters.get('since') ?? []) after = Math.max(after, await this.#createdAt(name));
    for (const name of filters.get('before') ?? []) before = Math.min(before, await this.#createdAt(name));
    for (const moment of filters.get('until') ?? []) before = Math.min(before, parseMoment(moment));
    return { after, before };
  }

  async #createdAt(name: string): Promise<number> {
    return createdAt((await this.#store.resolve(name)).config);
  }
}

export function createdAt(config: ImageConfig): number {
  return Date.parse(config.created ?? '') || 0;
}

function onlyNames(image: ImageSummary, matches: ReturnType<typeof referenceMatcher>): ImageSummary {
  const keep = (name: string) => matches(parseImageReference(name));
  return { ...image, names: image.names.filter(keep), digests: image.digests.filter(keep) };
}

function group<T extends { imageId: Digest }>(
  rows: readonly T[],
  text: (row: T) => string,
): Map<Digest, string[]> {
  const groups = new Map<Digest, string[]>();
  for (const row of rows) {
    const texts = groups.get(row.imageId);
    if (texts) texts.push(text(row));
    else groups.set(row.imageId, [text(row)]);
  }
  return groups;
}

function yesOrNo(filters: ListRequest['filters'], name: string): boolean | undefined {
  const values = filters.get(name);
  if (!values?.length) return undefined;
  const unknown = values.some((value) => !['1', 'true', '0', 'false'].includes(value.toLowerCase()));
  if (unknown) throw invalid(`invalid filter '${name}=[${values.join(' ')}]'`);
  return values.some((value) => ['1', 'true'].includes(value.toLowerCase()));
}

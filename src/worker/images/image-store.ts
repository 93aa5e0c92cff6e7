import { conflict, invalid, notFound, SlipwayError } from '#errors/errors.ts';
import { chainIds } from '#oci/chain-id.ts';
import { type Digest, digestOf, isDigest } from '#oci/digest.ts';
import {
  familiarReference,
  type ImageReference,
  parseImageReference,
  withDefaultTag,
} from '#oci/reference.ts';
import type { EventPublisher } from '../events/event-publisher.ts';
import { parseImageConfig } from './config-parser.ts';
import { fullName, fullRepository } from './image-name.ts';
import type { ImageRepository, ImageRow } from './image-repository.ts';
import type { Image, ImageSource } from './image-source.ts';
import type { LayerStore } from './layer-store.ts';
import type { StatementRepository } from './statement-repository.ts';

export interface ImageStorePorts {
  readonly images: ImageRepository;
  readonly statements: Pick<StatementRepository, 'imageOf'>;
  readonly layers: LayerStore;
  readonly events: EventPublisher;
}

/** What a reference is found to be. */
interface Found {
  readonly image: Image;
  /** The reference is its ID, or a part of that, rather than a name. */
  readonly byId: boolean;
  readonly reference?: ImageReference;
  /** The digest of the index of what is stated of the image by that name, or of what it was found by. */
  readonly statements?: Digest | undefined;
}

/** The worker's images by ID and name. */
export class ImageStore implements ImageSource {
  readonly #ports: ImageStorePorts;

  constructor(ports: ImageStorePorts) {
    this.#ports = ports;
  }

  async resolve(reference: string): Promise<Image> {
    return (await this.lookUp(reference)).image;
  }

  async lookUp(text: string): Promise<Found> {
    const fullId = isDigest(text)
      ? text
      : /^[0-9a-f]{64}$/.test(text)
        ? (`sha256:${text}` as Digest)
        : undefined;
    if (fullId) return { ...(await this.#withId(fullId)), byId: true };
    const reference = parseOrUndefined(text);
    const named = reference && (await this.#named(reference));
    if (named) {
      const { imageId, statements } = named;
      return { image: await this.get(imageId), byId: false, reference, statements };
    }
    const prefix = /^(?:sha256:)?([0-9a-f]{1,63})$/.exec(text)?.[1];
    const [match, another] = prefix ? await this.#ports.images.findByPrefix(prefix) : [];
    if (match && another) throw invalid(`image ID prefix ${text} is ambiguous`);
    if (match) return { image: await this.get(match), byId: true };
    if (!reference) throw invalid('invalid reference format');
    throw notFound(`No such image: ${familiarReference(withDefaultTag(reference))}`);
  }

  /** Throws `not-found`. */
  async get(id: Digest): Promise<Image> {
    const row = await this.#ports.images.find(id);
    if (!row) throw notFound(`No such image: ${id}`);
    return toImage(row);
  }

  /** `step`: as of `ImageRepository.insert`. */
  async create(rawConfig: Uint8Array, options: { parent?: Digest; step?: boolean } = {}): Promise<Image> {
    const config = parseImageConfig(rawConfig);
    const id = digestOf(rawConfig);
    const chain = chainIds(config.rootfs.diff_ids);
    using _ = await this.#pinAll(chain);
    const layers = chain.map((chainId, i) => ({ chainId, diffId: config.rootfs.diff_ids[i]! }));
    const { parent, step } = options;
    await this.#ports.images.insert({ id, rawConfig, parent }, layers, { step });
    for (const chainId of chain) this.#ports.layers.pins.handedOver(chainId);
    return { id, config, rawConfig, snapshot: chain.at(-1) };
  }

  /** `statements`: the digest of the index of what is stated of the image by that name. */
  async tag(id: Digest, name: string, { statements }: Pick<Found, 'statements'> = {}): Promise<void> {
    await this.setName(id, name, { statements });
    const attributes = { name: familiarReference(parseImageReference(name)) };
    this.#ports.events.publish({ type: 'image', action: 'tag', actor: { id, attributes } });
  }

  /** As `tag`, without the event: for pulls and loads, which have events of their own. */
  async setName(id: Digest, name: string, { statements }: Pick<Found, 'statements'> = {}): Promise<void> {
    const reference = parseImageReference(name);
    if (reference.digest) throw invalid('refusing to create a tag with a digest reference');
    if (`${reference.domain}/${reference.path}` === 'docker.io/library/sha256') {
      throw invalid('refusing to create an ambiguous tag using digest algorithm as name');
    }
    await this.get(id);
    await this.#ports.images.setName(fullName(reference), id, statements);
  }

  async commitLayer(snapshotKey: string, options: { user?: string } = {}) {
    return this.#ports.layers.commit(snapshotKey, options);
  }

  hasLayer(chainId: Digest): Promise<boolean> {
    return this.#ports.layers.has(chainId);
  }

  retainLayer(chainId: Digest, user: string): Promise<void> {
    return this.#ports.layers.retain(chainId, user);
  }

  releaseLayer(chainId: Digest, user: string): Promise<number> {
    return this.#ports.layers.release(chainId, user);
  }

  layerUsers(prefix: string): Promise<{ chainId: Digest; user: string }[]> {
    return this.#ports.layers.users(prefix);
  }

  async retain(id: Digest, user: string): Promise<void> {
    await this.get(id);
    await this.#ports.images.retain(id, user);
  }

  async release(id: Digest, user: string): Promise<void> {
    await this.#ports.images.release(id, user);
    // Had the image been removed by force meanwhile, its layers were left to this user.
    if (!(await this.#ports.images.find(id))) await this.#ports.layers.releaseAll(user);
  }

  /** Builds that state something of their image are answered with the digest of an index: it stands for the image. */
  async #withId(id: Digest): Promise<Pick<Found, 'image' | 'statements'>> {
    const { images, statements } = this.#ports;
    const row = await images.find(id);
    if (row) return { image: toImage(row) };
    return { image: await this.get((await statements.imageOf(id)) ?? id), statements: id };
  }

  async #named(
    reference: ImageReference,
  ): Promise<{ imageId: Digest; statements: Digest | undefined } | undefined> {
    const { images } = this.#ports;
    const { digest } = reference;
    if (!digest) return images.named(fullName(reference));
    const imageId = await images.imageWithDigest(fullRepository(reference), digest);
    return imageId && { imageId, statements: digest };
  }

  /** Keeps the layers from being collected until the image's row holds them. Throws `conflict`. */
  async #pinAll(chain: readonly Digest[]): Promise<Disposable> {
    const { pin, present } = await this.#ports.layers.pinStack(chain);
    if (present === chain.length) return pin;
    pin[Symbol.dispose]();
    throw conflict(`layer ${chain[present]} of the image is not here`);
  }
}

export function toImage(row: ImageRow): Image {
  const config = parseImageConfig(row.rawConfig);
  const top = chainIds(config.rootfs.diff_ids).at(-1);
  return { id: row.id, config, rawConfig: row.rawConfig, snapshot: top };
}

function parseOrUndefined(text: string): ImageReference | undefined {
  try {
    return parseImageReference(text);
  } catch (error) {
    if (error instanceof SlipwayError && !/^(sha256:)?[0-9a-f]+$/.test(text)) throw error;
    return undefined;
  }
}

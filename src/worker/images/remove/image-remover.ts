import { KeyedLock } from '#async/keyed-lock.ts';
import { conflict, isKind } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import {
  familiarReference,
  type ImageReference,
  parseImageReference,
  withDefaultTag,
} from '#oci/reference.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import { fullName, fullRepository, shortId } from '../image-name.ts';
import type { ImageRepository } from '../image-repository.ts';
import type { Image } from '../image-source.ts';
import { type ImageStore, toImage } from '../image-store.ts';
import type { LayerStore } from '../layer-store.ts';
import type { StepImageRepository } from '../step-image-repository.ts';

/** One line of what `docker rmi` prints. */
export type Removal = { readonly untagged: string } | { readonly deleted: Digest };

export interface RemoveOptions {
  readonly force?: boolean;
  /** Also the untagged images that this one was built on, as far as nothing else needs them. */
  readonly pruneParents?: boolean;
}

export interface Removed {
  readonly removals: Removal[];
  readonly bytes: number;
}

export interface ImageRemoverPorts {
  readonly images: ImageRepository;
  readonly steps: Pick<StepImageRepository, 'delete'>;
  readonly store: ImageStore;
  readonly layers: LayerStore;
  readonly events: EventPublisher;
  /** Whether a container that uses an image runs. */
  readonly isRunning: (containerId: string) => boolean | Promise<boolean>;
}

/**
 * `docker rmi`, by the engine's rules: a name goes before the image does; an image with several names, children or
 * containers is kept, some of it only until somebody insists.
 */
export class ImageRemover {
  readonly #ports: ImageRemoverPorts;
  readonly #lock = new KeyedLock<'images'>();

  constructor(ports: ImageRemoverPorts) {
    this.#ports = ports;
  }

  /** Throws `not-found` and `conflict` in Docker's words. */
  async remove(reference: string, options: RemoveOptions = {}): Promise<Removed> {
    return this.#lock.run('images', async () => {
      const { image, byId, reference: name } = await this.#ports.store.lookUp(reference);
      const removed: Removed & { bytes: number } = { removals: [], bytes: 0 };
      const names = await this.#references(image.id);
      if (!byId && name && !(await this.#removeName(image, name, names, options, removed))) return removed;
      // Once the name is gone the caller got what was asked for, whether or not the image may go too.
      await this.#removeImage(image, options, removed, { quiet: !byId });
      return removed;
    });
  }

  /** What a step has left and nothing needs. Answers the bytes freed; undefined: it stays, or is not there. */
  async removeStep(id: Digest): Promise<number | undefined> {
    return this.#lock.run('images', async () => {
      const { images, steps, layers } = this.#ports;
      const row = await images.find(id);
      if (!row || !(await steps.delete(id))) return undefined;
      this.#publish('delete', id, id);
      const { snapshot } = toImage(row);
      const gone = snapshot ? await layers.collect(snapshot as Digest) : [];
      return gone.reduce((sum, { bytes }) => sum + bytes, 0);
    });
  }

  /** Answers whether it was the last name, so that the image goes too. */
  async #removeName(
    image: Image,
    given: ImageReference,
    names: readonly ImageReference[],
    options: RemoveOptions,
    removed: Removed,
  ): Promise<boolean> {
    const name = withDefaultTag(given);
    if (!options.force && isSingleReference(names)) {
      const [container] = await this.#containers(image.id);
      if (container !== undefined) {
        throw conflict(
          `conflict: unable to remove repository reference ${JSON.stringify(familiarReference(given))} (must force) - ` +
            `container ${container.slice(0, 12)} is using its referenced image ${shortId(image.id)}`,
        );
      }
    }
    await this.#untag(image.id, name, removed);
    let left = await this.#references(image.id);
    const sameRepository = left.filter((other) => fullRepository(other) === fullRepository(name));
    // Digests of a repository leave with its last tag.
    if (!name.digest && !sameRepository.some((other) => other.tag)) {
      for (const other of sameRepository) await this.#untag(image.id, other, removed);
      left = await this.#references(image.id);
    }
    return left.length === 0;
  }

  async #removeImage(
    image: Image,
    options: RemoveOptions,
    removed: Removed & { bytes: number },
    how: { quiet: boolean },
  ): Promise<void> {
    const { images, layers } = this.#ports;
    try {
      // By ID, an image with names in one repository goes without force; with more it does not.
      const references = !isSingleReference(await this.#references(image.id));
      await this.#checkFree(image, options.force === true, { references });
    } catch (error) {
      if (how.quiet && isKind(error, 'conflict')) return;
      throw error;
    }
    const parent = (await images.find(image.id))?.parent;
    for (const name of await this.#references(image.id)) await this.#untag(image.id, name, removed);
    await images.delete(image.id, image.snapshot as Digest | undefined);
    this.#publish('delete', image.id, image.id);
    removed.removals.push({ deleted: image.id });
    if (image.snapshot) {
      for (const layer of await layers.collect(image.snapshot as Digest)) {
        removed.removals.push({ deleted: layer.chainId });
        removed.bytes += layer.bytes;
      }
    }
    const row = options.pruneParents && parent ? await images.find(parent) : undefined;
    if (row && (await this.#references(row.id)).length === 0)
      await this.#removeImage(toImage(row), { pruneParents: true }, removed, { quiet: true });
  }

  /** Throws `conflict` when the image is in use. */
  async #checkFree(image: Image, force: boolean, check: { references: boolean }): Promise<void> {
    const refuse = (how: 'must' | 'cannot', why: string) =>
      conflict(`conflict: unable to delete ${shortId(image.id)} (${how} be forced) - ${why}`);
    if ((await this.#ports.images.children(image.id)).length > 0) {
      throw refuse('cannot', 'image has dependent child images');
    }
    const containers = await this.#containers(image.id);
    for (const id of containers) {
      if (await this.#ports.isRunning(id)) {
        throw refuse('cannot', `image is being used by running container ${id.slice(0, 12)}`);
      }
    }
    if (force) return;
    if (check.references && (await this.#references(image.id)).length > 0) {
      throw refuse('must', 'image is referenced in multiple repositories');
    }
    if (containers[0] !== undefined) {
      throw refuse('must', `image is being used by stopped container ${containers[0].slice(0, 12)}`);
    }
    const [user] = await this.#ports.images.users(image.id);
    if (user) throw refuse('must', `image is being used by ${user.user}`);
  }

  async #untag(id: Digest, name: ImageReference, removed: Removed): Promise<void> {
    if (name.digest) await this.#ports.images.deleteDigest(fullRepository(name), name.digest);
    else await this.#ports.images.deleteName(fullName(name));
    removed.removals.push({ untagged: familiarReference(name) });
    this.#publish('untag', id, id);
  }

  async #containers(id: Digest): Promise<string[]> {
    const users = await this.#ports.images.users(id);
    return users.flatMap(({ user }) =>
      user.startsWith('container:') ? [user.slice('container:'.length)] : [],
    );
  }

  /** Tags first, then digests. */
  async #references(id: Digest): Promise<ImageReference[]> {
    const names = await this.#ports.images.names(id);
    const digests = await this.#ports.images.digests(id);
    return [
      ...names.map(({ name }) => parseImageReference(name)),
      ...digests.map(({ repository, digest }) => parseImageReference(`${repository}@${digest}`)),
    ];
  }

  #publish(action: string, id: Digest, name: string): void {
    this.#ports.events.publish({ type: 'image', action, actor: { id, attributes: { name } } });
  }
}

/** At most one tag, and digests only of the same repository. */
function isSingleReference(names: readonly ImageReference[]): boolean {
  if (names.length <= 1) return true;
  const tags = names.filter((name) => !name.digest);
  return tags.length <= 1 && new Set(names.map(fullRepository)).size === 1;
}

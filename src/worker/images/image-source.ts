import type { Digest } from '#oci/digest.ts';
import type { ImageConfig } from '#oci/image-config.ts';

/** An image in the worker's store: complete, unpacked, ready to be a container's root. */
export interface Image {
  /** Digest of the configuration blob. */
  readonly id: Digest;
  readonly config: ImageConfig;
  /** The config's bytes, exactly. */
  readonly rawConfig: Uint8Array;
  /** Committed snapshot to stand on; undefined for an image without layers. */
  readonly snapshot: string | undefined;
}

/** What containers and builds need of images; the API's needs are in the services of this folder. */
export interface ImageSource {
  /** By name, ID, unique ID prefix or name@digest. Throws `not-found` in Docker's words ("No such image: x:latest"). */
  resolve(reference: string): Promise<Image>;

  /**
   * Makes an image of a configuration whose layers are all in the store (as committed snapshots named by
   * chain ID). Idempotent: the same configuration is the same image.
   */
  create(rawConfig: Uint8Array, options?: { parent?: Digest }): Promise<Image>;

  /** Points a name (`repo:tag`, familiar or full) at an image; the name leaves the image it pointed at. */
  tag(id: Digest, name: string): Promise<void>;

  /**
   * Turns an active snapshot into a layer: reads its changes once for the diff ID, then commits it under the
   * resulting chain ID (or drops it when that exists). `user` retains the layer in the same step.
   */
  commitLayer(
    snapshotKey: string,
    options?: { user?: string },
  ): Promise<{ diffId: Digest; chainId: Digest; bytes: number }>;

  /** Whether the layer that this chain ends with is here, unpacked. */
  hasLayer(chainId: Digest): Promise<boolean>;

  /**
   * Keeps a layer and all below it, whether or not an image has it: how the build cache holds what it made.
   * Throws `not-found`.
   */
  retainLayer(chainId: Digest, user: string): Promise<void>;

  /** Gives a layer up; it goes when no image and no other user has it or stands on it. Answers bytes freed. */
  releaseLayer(chainId: Digest, user: string): Promise<number>;

  /** Every user of a layer whose name begins so, with the layer: to reconcile after a crash. */
  layerUsers(prefix: string): Promise<{ chainId: Digest; user: string }[]>;

  /** Keeps an image from being removed or pruned while a container or build uses it. */
  retain(id: Digest, user: string): Promise<void>;
  release(id: Digest, user: string): Promise<void>;
}

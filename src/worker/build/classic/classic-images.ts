import { invalid, isKind } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import { formatPlatform, type Platform, platformMatches } from '#oci/platform.ts';
import type { ImageStore } from '#worker/images/image-store.ts';
import type { Bridge, ResolvedImage } from '../frontend/frontend.ts';
import { fullReference } from '../frontend/inputs/full-reference.ts';
import type { ImageRequest } from '../frontend/inputs/image-resolver.ts';
import type { ClassicOutput, ClassicRequest, RegistryAuth } from './classic-request.ts';

const HEX_ID = /^[0-9a-f]{64}$/;

/** Gets an image that a build begins with into the image store. */
export interface BasePuller {
  /** Has an image that other machines have be here too, under its name. */
  bring?(reference: string, signal: AbortSignal): Promise<unknown>;
  /** Throws `not-found`, `unauthorized`, `unavailable` in Docker's words. */
  pull(
    reference: string,
    options: {
      platform?: Platform;
      registryAuth: RegistryAuth;
      progress: (line: object) => Promise<void>;
      signal: AbortSignal;
    },
  ): Promise<void>;
}

/**
 * The images that a build stands on, found as the classic builder does: by name or by ID among those that are here,
 * else pulled as a whole, so that they are there to be listed afterwards.
 */
export class ClassicImages {
  readonly #ports: { readonly store: Pick<ImageStore, 'lookUp'>; readonly puller: BasePuller };
  readonly #request: Pick<ClassicRequest, 'pull' | 'registryAuth'>;
  readonly #bridge: Bridge;
  readonly #output: ClassicOutput;
  readonly #found = new Map<string, Promise<ResolvedImage>>();

  constructor(
    ports: { store: Pick<ImageStore, 'lookUp'>; puller: BasePuller },
    build: {
      request: Pick<ClassicRequest, 'pull' | 'registryAuth'>;
      bridge: Bridge;
      output: ClassicOutput;
    },
  ) {
    this.#ports = ports;
    this.#request = build.request;
    this.#bridge = build.bridge;
    this.#output = build.output;
  }

  /** IDs without their algorithm are names here, too. Throws `invalid`. */
  fullName(written: string): string {
    return fullReference(HEX_ID.test(written) ? `sha256:${written}` : written);
  }

  /** `reference`: full. Throws as the store and the puller do, and `invalid` when there is none for the platform. */
  resolve(reference: string, image: ImageRequest): Promise<ResolvedImage> {
    const key = `${reference} ${formatPlatform(image.platform)}`;
    const known = this.#found.get(key);
    if (known) return known;
    const found = this.#resolve(reference, image);
    this.#found.set(key, found);
    return found;
  }

  async #resolve(reference: string, image: ImageRequest): Promise<ResolvedImage> {
    const { platform, written = reference } = image;
    if (!this.#request.pull) await this.#ports.puller.bring?.(written, this.#bridge.signal);
    const here = this.#request.pull ? undefined : await this.#here(written, platform);
    if (!here) {
      await this.#pull(written, platform);
      const pulled = await this.#ports.store.lookUp(written);
      requirePlatform(written, platform, pulled.image.config);
    } else if (here.byId) {
      // A name that nothing but its digest is looked at of.
      return { reference: `${reference}@${here.id}`, digest: here.id, config: here.config };
    }
    return this.#bridge.resolveImage(reference, image);
  }

  async #here(
    written: string,
    platform: Platform,
  ): Promise<{ byId: boolean; id: Digest; config: Uint8Array } | undefined> {
    try {
      const { image, byId } = await this.#ports.store.lookUp(written);
      const matches = platformMatches(platform, image.config);
      if (byId) requirePlatform(written, platform, image.config);
      return matches ? { byId, id: image.id, config: image.rawConfig } : undefined;
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
      return undefined;
    }
  }

  async #pull(reference: string, platform: Platform): Promise<void> {
    await this.#ports.puller.pull(reference, {
      platform,
      registryAuth: this.#request.registryAuth,
      progress: (line) => this.#output.progress(line),
      signal: this.#bridge.signal,
    });
  }
}

function requirePlatform(written: string, platform: Platform, config: Platform): void {
  if (platformMatches(platform, config)) return;
  throw invalid(
    `image with reference ${written} was found but its platform (${formatPlatform(config)}) does not match the specified platform (${formatPlatform(platform)})`,
  );
}

import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invalid, isKind } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import { formatPlatform, type Platform, platformMatches } from '#oci/platform.ts';
import type { Image, ImageSource } from '#worker/images/image-source.ts';
import type { BasePuller } from './base-puller.ts';
import type { BuildOutput, BuildRequest } from './build-request.ts';

const RETAINED = 'retained-images';

/** The images that one build uses: found here or pulled, and kept from being removed until the build is over. */
export class BaseImages implements AsyncDisposable {
  readonly #ports: { readonly images: ImageSource; readonly puller: BasePuller };
  readonly #options: {
    readonly buildId: string;
    readonly directory: string;
    readonly request: Pick<BuildRequest, 'pull' | 'registryAuth'>;
    readonly output: BuildOutput;
    readonly signal: AbortSignal;
  };
  readonly #retained = new Set<Digest>();
  readonly #pulled = new Set<string>();

  constructor(
    ports: { images: ImageSource; puller: BasePuller },
    options: {
      buildId: string;
      directory: string;
      request: Pick<BuildRequest, 'pull' | 'registryAuth'>;
      output: BuildOutput;
      signal: AbortSignal;
    },
  ) {
    this.#ports = ports;
    this.#options = options;
  }

  /** Throws as the image store and the puller do, and `invalid` when there is none for the platform. */
  async resolve(reference: string, platform: Platform | undefined): Promise<Image> {
    const found = await this.#find(reference, platform);
    if (platform && !platformMatches(platform, found.config)) {
      throw invalid(
        `image with reference ${reference} was found but its platform (${formatPlatform(found.config)}) does not match the specified platform (${formatPlatform(platform)})`,
      );
    }
    await this.#retain(found.id);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.#retained) await this.#ports.images.release(id, userOf(this.#options.buildId));
  }

  async #find(reference: string, platform: Platform | undefined): Promise<Image> {
    const { images } = this.#ports;
    const wanted = `${reference} ${platform ? formatPlatform(platform) : ''}`;
    if (!this.#options.request.pull || this.#pulled.has(wanted)) {
      try {
        const image = await images.resolve(reference);
        if (!platform || platformMatches(platform, image.config)) return image;
      } catch (error) {
        if (!isKind(error, 'not-found')) throw error;
      }
    }
    const { request, output, signal } = this.#options;
    await this.#ports.puller.pull(reference, {
      ...(platform && { platform }),
      registryAuth: request.registryAuth,
      progress: (line) => output.progress(line),
      signal,
    });
    this.#pulled.add(wanted);
    return images.resolve(reference);
  }

  async #retain(id: Digest): Promise<void> {
    if (this.#retained.has(id)) return;
    // Written down first: the next start gives back what a killed build kept.
    await appendFile(join(this.#options.directory, RETAINED), `${id}\n`);
    await this.#ports.images.retain(id, userOf(this.#options.buildId));
    this.#retained.add(id);
  }
}

/** Gives back what a build kept that did not end by itself. */
export async function releaseAbandoned(
  images: ImageSource,
  buildId: string,
  directory: string,
): Promise<void> {
  const text = await readFile(join(directory, RETAINED), 'utf8').catch(() => '');
  for (const id of text.split('\n').filter(Boolean)) await images.release(id as Digest, userOf(buildId));
}

function userOf(buildId: string): string {
  return `build:${buildId}`;
}

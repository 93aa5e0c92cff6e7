import { SlipwayError } from '#errors/errors.ts';
import type { Platform } from '#oci/platform.ts';
import type { Bridge, ResolvedImage } from '../frontend.ts';
import type { ResolveMode } from '../graph/sources.ts';
import { platformId } from '../platforms.ts';
import { fullReference } from './full-reference.ts';

export interface ImageRequest {
  /** The reference as somebody wrote it; undefined: it is written as it is. */
  readonly written?: string;
  readonly platform: Platform;
  readonly mode: ResolveMode;
  /** What progress shows. */
  readonly name: string;
  /** A content store of the client's to look in, in place of registries. */
  readonly store?: string;
}

/** Asks for each image once a build: what a name stands for may not change between two stages. */
export class ImageResolver {
  readonly #bridge: Pick<Bridge, 'resolveImage'>;
  readonly #known = new Map<string, Promise<ResolvedImage>>();

  constructor(bridge: Pick<Bridge, 'resolveImage'>) {
    this.#bridge = bridge;
  }

  /** What a Dockerfile calls an image, as a reference in full. Throws `invalid`. */
  fullName(written: string): string {
    return fullReference(written);
  }

  resolve(reference: string, request: ImageRequest): Promise<ResolvedImage> {
    const key = JSON.stringify([reference, platformId(request.platform), request.mode, request.store]);
    let resolved = this.#known.get(key);
    if (!resolved) {
      resolved = this.#bridge.resolveImage(reference, request).catch((error: unknown) => {
        if (!(error instanceof SlipwayError) || error.kind === 'canceled') throw error;
        const message = `failed to resolve source metadata for ${reference}: ${error.message}`;
        throw new SlipwayError(error.kind, message, {
          ...(error.code && { code: error.code }),
          cause: error,
        });
      });
      this.#known.set(key, resolved);
    }
    return resolved;
  }
}
